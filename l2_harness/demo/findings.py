"""What the demo's recorded responses show, from the traces and lm-eval's samples to estimates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.norms.profiles import layer_profile, mean_over_layers, pair_by_document
from l2_harness.config.layers import LayerSelection
from l2_harness.statistics.associations import correlation_interval
from l2_harness.statistics.estimate import Estimate

if TYPE_CHECKING:
    import pandas as pd

RAW = "nothing"
LENGTH = "length"
STRATA = "kind"
BOTH = "kind and length"
#: What a correlation is controlled for: the response's length; the kind of problem, which is its
#: family and number of steps, by ranking within each kind. The last is what the verdict rests on.
CONTROLS = (RAW, LENGTH, STRATA, BOTH)

DEFAULT_LATE = "late"
WITH_LAST = "late and last"

_METRIC = "metric_exact_match"


@dataclass(frozen=True)
class Findings:
    """All that the demo reports on norms.

    Attributes:
        layers: the recorded layers.
        late: name of a set of late layers → its layers.
        profile: a row a layer, thinking beside direct; see
            :func:`~l2_harness.analysis.norms.profiles.layer_profile`.
        pairs: how many prompts have both a thinking and a direct response.
        correlations: (set of layers, control) → late norm with correctness.
        by_layer: a row a layer, ``raw`` and ``controlled`` with ``_low`` and ``_high``.
        thinking: how many thinking responses the correlations are of.
        truncated: how many of them were cut at the length limit.
    """

    layers: tuple[int, ...]
    late: Mapping[str, tuple[int, ...]]
    profile: pd.DataFrame
    pairs: int
    correlations: Mapping[tuple[str, str], Estimate]
    by_layer: pd.DataFrame
    thinking: int
    truncated: int


def tidy_responses(
    joined: pd.DataFrame, documents: Mapping[int, Mapping[str, Any]], arms: Mapping[str, str]
) -> pd.DataFrame:
    """A row a response: arm, question, kind of problem, verdict, length, mean norms.

    Args:
        joined: of :func:`~l2_harness.lm_eval_files.join_samples`, one filter.
        documents: doc_id → document, with ``family`` and ``steps``.
        arms: task → name of the arm.
    """
    import pandas as pd

    rows = joined.dropna(subset=[_METRIC])
    of_document = [documents[int(doc_id)] for doc_id in rows["doc_id"]]
    return pd.DataFrame(
        {
            "arm": [arms[task] for task in rows["task"]],
            "doc_id": rows["doc_id"].astype(int),
            "family": [doc["family"] for doc in of_document],
            "steps": [int(doc["steps"]) for doc in of_document],
            "correct": rows[_METRIC].astype(float),
            "tokens": [len(tokens) for tokens in rows["tokens"]],
            "finish_reason": rows["finish_reason"],
            "norm_mean": rows["norm_mean"],
        }
    ).reset_index(drop=True)


def find(
    responses: pd.DataFrame, layers: Sequence[int], *, resamples: int = 2000, seed: int = 0
) -> Findings:
    """The demo's figures, from :func:`tidy_responses`."""
    thinking = responses[responses["arm"] == "thinking"].reset_index(drop=True)
    direct = responses[responses["arm"] == "direct"]
    late = late_sets(layers)
    first, second, doc_ids = pair_by_document(thinking, direct)
    profile = layer_profile(first, second, layers)
    norms = np.stack(list(thinking["norm_mean"])).astype(float)
    correlations = {
        (name, control): _correlate(
            mean_over_layers(norms[:, [layers.index(i) for i in chosen]]),
            thinking,
            control,
            resamples,
            seed,
        )
        for name, chosen in late.items()
        for control in CONTROLS
    }
    return Findings(
        layers=tuple(layers),
        late=late,
        profile=profile,
        pairs=len(doc_ids),
        correlations=correlations,
        by_layer=_by_layer(norms, thinking, layers, resamples, seed),
        thinking=len(thinking),
        truncated=int((thinking["finish_reason"] == "length").sum()),
    )


def late_sets(layers: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The monitored layers by default, and these with the last: it can turn a conclusion round."""
    late = LayerSelection().resolve(len(layers))
    return {DEFAULT_LATE: late, WITH_LAST: (*late, len(layers) - 1)}


def runs_of(layers: Iterable[int]) -> str:
    """``0-3, 5`` for 0, 1, 2, 3, 5; ``none`` for no layer."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs) or "none"


def _by_layer(
    norms: np.ndarray, thinking: pd.DataFrame, layers: Sequence[int], resamples: int, seed: int
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for column, layer in enumerate(layers):
        row: dict[str, float] = {"layer": layer}
        for name, control in (("raw", RAW), ("controlled", LENGTH)):
            found = _correlate(norms[:, column], thinking, control, resamples, seed)
            row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        rows.append(row)
    return pd.DataFrame(rows).astype({"layer": int})


def _correlate(
    norm: np.ndarray, thinking: pd.DataFrame, control: str, resamples: int, seed: int
) -> Estimate:
    strata = (thinking["family"] + "/" + thinking["steps"].astype(str)).to_numpy(dtype=str)
    return correlation_interval(
        norm,
        thinking["correct"].to_numpy(dtype=float),
        thinking["doc_id"].to_numpy(),
        # Ranks don't tell the length from its logarithm.
        [thinking["tokens"].to_numpy(dtype=float)] if control in (LENGTH, BOTH) else (),
        strata if control in (STRATA, BOTH) else None,
        resamples=resamples,
        seed=seed,
    )
