"""Words that all sections of the norms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from l2_harness.analysis.norms.study import Study

#: Holm-corrected p values below this are claimed.
LEVEL = 0.05
#: The sections' order in a report.
ORDERS = {"norms": 10, "confounds": 12, "profiles": 20, "course": 21, "token_kinds": 22}

STATISTIC_WORDS = {
    "mean": "mean norm",
    "max": "largest norm",
    "area": "area above τ",
    "area_rate": "area above τ a row",
    "peaks": "number of peaks",
    "peak_rate": "share of rows that are peaks",
    "slope": "slope over rows",
    "late_mean": "mean norm of the last 30 % of rows",
}
VARIANT_WORDS = {
    "all_rows": "all rows",
    "without_first": "without the first rows",
    "without_outliers": "without the outlier dimensions",
}
SIGNAL_WORDS = {
    "length": "length",
    "logprob": "mean log-probability",
    "entropy": "mean entropy",
    "self_certainty": "mean self-certainty",
}


def interval(row: Mapping[str, Any] | pd.Series, name: str = "value", digits: int = 2) -> str:
    """``+0.31 (+0.25 to +0.36)`` of the columns of a figure."""
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not np.isfinite(value):
        return "not defined"
    if not np.isfinite([low, high]).all():
        return f"{value:+.{digits}f} (no interval)"
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def plain_interval(row: Mapping[str, Any] | pd.Series, name: str, digits: int = 2) -> str:
    """The same without signs, for ratios and shares."""
    return interval(row, name, digits).replace("+", "")


def shown(rows: pd.DataFrame, null: float = 0.0) -> np.ndarray:
    """(n,) the sign of what may be claimed, 0 for nothing.

    An effect may be where Holm's corrected p is below 5 % and the interval leaves out the null.
    """
    above, below = rows["value_low"] > null, rows["value_high"] < null
    claimed = (rows["p_holm"] < LEVEL) & (above | below)
    return np.where(claimed, np.where(above, 1, -1), 0)


def strongest(rows: pd.DataFrame) -> pd.Series | None:
    """The row of the largest value, either sign; None where none is defined."""
    known = rows[rows["value"].notna()]
    return None if known.empty else known.loc[known["value"].abs().idxmax()]


def named(row: pd.Series) -> str:
    """``mean norm at layer 8``."""
    return f"{STATISTIC_WORDS[row['statistic']]} at layer {row['layer']}"


def counted(rows: pd.DataFrame) -> str:
    """How many of the layers and statistics show an effect, and which way."""
    signs = shown(rows)
    positive, negative = int((signs > 0).sum()), int((signs < 0).sum())
    defined = int(rows["value"].notna().sum())
    if not positive + negative:
        return f"none of the {defined} layer × statistic figures shows an effect"
    return (
        f"{positive + negative} of the {defined} layer × statistic figures show an effect "
        f"({positive} positive, {negative} negative)"
    )


def settings(study: Study) -> dict[str, Any]:
    """What every section's figures were made with."""
    measured, options = study.measured, study.options
    found = study.verdicts
    return {
        "task": options.task,
        "run_id": study.run_id,
        "responses": len(measured.traces),
        "questions": len(study.resamples.labels),
        "rows": measured.rows,
        "layers": list(measured.layers),
        "first_rows": measured.first_rows,
        "verdicts": "none" if found is None else found.source,
        "metric": None if found is None else found.metric,
        "direct": options.direct,
        "strata": list(options.strata),
        "resamples": options.resamples,
        "held_out": options.held_out,
        "seed": options.seed,
    }


def listed(words: Sequence[object]) -> str:
    """``a, b and c``."""
    texts = [str(word) for word in words]
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def layers_of(layers: Sequence[int] | np.ndarray) -> str:
    """``layer 8``, or ``layers 0 to 4 and 7``, of ascending layers."""
    runs: list[list[int]] = []
    for layer in (int(layer) for layer in layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return f"{'layer' if len(layers) == 1 else 'layers'} {listed(texts)}"
