"""How norm statistics, variants and covariates are called, and what may be claimed of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.norms.covariates import CONTROLS
from l2_harness.findings.section import Section

if TYPE_CHECKING:
    from l2_harness.analysis.norms.study import Study

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
COVARIATE_WORDS = {
    "log_length": "length",
    "position": "position",
    "entropy": "entropy",
    "truncated": "truncation",
    "logprob": "log-probability",
}


def named(layer: int, statistic: str) -> str:
    """``mean norm at layer 8``."""
    return f"{STATISTIC_WORDS[statistic]} at layer {layer}"


def controlled_for(study: Study) -> list[str]:
    """The covariates that vary, so that "controlled" takes something out, in words."""
    known = study.measured.covariates
    return [COVARIATE_WORDS[name] for name in CONTROLS["all"] if known[name].nunique() > 1]


def section_of(study: Study, command: str, name: str, title: str, **parts: Any) -> Section:
    """A section with what it was made of."""
    measured, options, found = study.measured, study.options, study.verdicts
    settings = {
        "task": options.task,
        "run_id": study.run_id,
        "responses": len(measured.traces),
        "questions": len(study.resamples.labels),
        "rows": measured.rows,
        "layers": list(measured.layers),
        "first_rows": measured.first_rows,
        "verdicts": "none" if found is None else found.source,
        "metric": None if found is None else found.metric,
        "mean of the metric": None if found is None else float(np.mean(found.values)),
        "direct": options.direct,
        "strata": list(options.strata),
        "resamples": options.resamples,
        "held_out": options.held_out,
        "seed": options.seed,
    }
    return Section(
        name=name,
        title=f"{title}: {study.subject}",
        order=ORDERS[name],
        settings=settings,
        command=command,
        **parts,
    )
