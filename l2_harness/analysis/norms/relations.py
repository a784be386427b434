"""What a study relates: norms and covariates with correctness, norms with covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.association import (
    OutcomeVariable,
    Scope,
    associations,
    corrected,
    usable_controls,
)
from l2_harness.analysis.norms.covariates import CONTROLS
from l2_harness.analysis.norms.held_out import HeldOutChoice, choose_held_out
from l2_harness.analysis.norms.measure import Measured
from l2_harness.analysis.norms.norm_statistics import STATISTICS
from l2_harness.analysis.norms.trace_rows import SIGNALS
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.verdicts import Verdicts
from l2_harness.statistics.resamples import Resamples

if TYPE_CHECKING:
    import pandas as pd

    from l2_harness.analysis.norms.study import StudyOptions

#: What norms are related to beside correctness.
COMPANIONS = ("length", *SIGNALS)
_SIGNAL_CONTROLS = {"none": (), "length": ("log_length",)}
WITHIN = "within question"


def scopes_of(measured: Measured, options: StudyOptions, notes: list[str]) -> list[Scope]:
    """Pooled, within question where there are several responses to one, within the strata.

    Raises:
        ConfigError: a field that the documents don't have, or no documents.
    """
    scopes = [Scope("pooled")]
    counts = np.bincount(measured.question)
    if counts.max() > 1:
        scopes.append(Scope(WITHIN, measured.question))
    else:
        notes.append(
            "Within question nothing is defined: there is one response a question. Record several "
            "with num_samples or repeats."
        )
    return scopes + [Scope(f"within {name}", _labels(measured, name)) for name in options.strata]


def _labels(measured: Measured, name: str) -> np.ndarray:
    """(n,) the value of fields of the documents, joined by ``+``."""
    if "doc" not in measured.traces:
        raise ConfigError(f"--strata {name} needs --samples RESULTS, which holds the documents.")
    documents = list(measured.traces["doc"])
    for one in name.split("+"):
        if any(not isinstance(doc, Mapping) or one not in doc for doc in documents):
            known = documents[0] if isinstance(documents[0], Mapping) else {}
            raise ConfigError(f"--strata {one}: the documents have {', '.join(known)}.")
    return np.array([" ".join(str(doc[one]) for one in name.split("+")) for doc in documents])


def table_of(
    measured: Measured, found: Verdicts | None, scopes: Sequence[Scope], resamples: Resamples
) -> pd.DataFrame:
    """Every variant, layer and statistic with correctness and with the signals; see Study."""
    import pandas as pd

    outcomes = [] if found is None else [OutcomeVariable("correct", found.values, CONTROLS)]
    for name in COMPANIONS:
        values = measured.covariates[name].to_numpy()
        if np.isfinite(values).any():
            outcomes.append(OutcomeVariable(name, values, _SIGNAL_CONTROLS))
    n_layers, frames = len(measured.layers), []
    x = measured.values.reshape(len(measured.traces), -1)
    for outcome in outcomes:
        # strata of the documents are there for correctness
        for scope in scopes if outcome.name == "correct" else scopes[:2]:
            frames.append(associations(x, outcome, scope, measured.covariates, resamples))
    table = pd.concat(frames, ignore_index=True)
    index = table.pop("column").to_numpy()
    variants = np.array(measured.variants)
    width = n_layers * len(STATISTICS)
    table.insert(0, "variant", variants[index // width])
    table.insert(1, "layer", np.asarray(measured.layers)[index % width // len(STATISTICS)])
    table.insert(2, "statistic", np.array(STATISTICS)[index % len(STATISTICS)])
    return corrected(table)


def signals_of(
    measured: Measured, found: Verdicts | None, scopes: Sequence[Scope], resamples: Resamples
) -> pd.DataFrame:
    """The covariates with correctness; empty without verdicts."""
    import pandas as pd

    if found is None:
        return pd.DataFrame()
    names = [name for name in measured.covariates if name != "log_length"]
    outcome = OutcomeVariable("correct", found.values, {"none": ()})
    x = measured.covariates[names].to_numpy()
    frames = [associations(x, outcome, scope, measured.covariates, resamples) for scope in scopes]
    table = pd.concat(frames, ignore_index=True)
    table.insert(0, "covariate", np.array(names)[table.pop("column").to_numpy()])
    return table


def choices_of(
    measured: Measured, found: Verdicts, scopes: Sequence[Scope], options: StudyOptions
) -> tuple[HeldOutChoice, ...]:
    """The layer and statistic chosen on some questions, raw and under control, in each scope."""
    x = measured.statistics[0].values.reshape(len(measured.traces), -1)
    wanted = {name: CONTROLS[name] for name in ("none", "all")}
    choices: list[HeldOutChoice] = []
    for scope in scopes:
        outcome = OutcomeVariable("correct", found.values, wanted)
        controls = usable_controls(outcome, measured.covariates, scope)
        names = list(controls.get("all", ()))
        choices += choose_held_out(
            *(x, replace(outcome, controls=controls), scope),
            *(measured.covariates[names].to_numpy(), measured.question),
            names=names,
            share=options.held_out,
            resamples=options.resamples,
            seed=options.seed,
        )
    return tuple(choices)
