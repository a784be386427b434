"""The section ``confounds``: norms beside length and the model's own confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.norms.covariates import CONTROLS, COVARIATES
from l2_harness.analysis.norms.labels import (
    COVARIATE_WORDS,
    SIGNAL_WORDS,
    STATISTIC_WORDS,
    named,
    section_of,
)
from l2_harness.analysis.norms.norm_statistics import STATISTICS
from l2_harness.analysis.norms.norms_tables import side_by_side
from l2_harness.analysis.norms.relations import COMPANIONS, WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.findings import least, panels
from l2_harness.findings.claims import signs
from l2_harness.findings.figures import new_grid
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import listed, of_row, share

if TYPE_CHECKING:
    import pandas as pd


def confounds_section(study: Study, command: str) -> Section:
    """What norms go with besides correctness, and what is left when it is taken out."""
    tables = [_correlations(study)]
    if study.verdicts is not None:
        tables += [_partials(study), _covariates(study)]
    figure = _heat_maps(study)
    return section_of(
        *(study, command, "confounds", "What else norms go with"),
        findings=_findings(study),
        caveats=[
            "What norms share with length or confidence is not thereby explained by them.",
            "Area and number of peaks are sums over rows and grow with length by construction.",
            "Entropy, log-probability and self-certainty are the model's own confidence: taking "
            "them out may take out what norms are a signal of.",
        ],
        tables=tables,
        figures=[] if figure is None else [figure],
    )


def _signals(study: Study) -> list[str]:
    return [name for name in COMPANIONS if (study.table["outcome"] == name).any()]


def _rows(study: Study, outcome: str, scope: str, measure: str = "spearman") -> pd.DataFrame:
    of = {"variant": "all_rows", "outcome": outcome, "scope": scope, "control": "none"}
    return study.rows(**of, measure=measure)


def _findings(study: Study) -> list[str]:
    questions = len(study.resamples.labels)
    found = [signals_finding({s: _rows(study, s, "pooled") for s in _signals(study)}, questions)]
    if study.verdicts is None:
        return [*found, "Without --samples nothing is known of correctness."]
    scope = WITHIN if WITHIN in study.scopes else "pooled"
    signals = study.signals[
        (study.signals["scope"] == scope) & (study.signals["measure"] == "auroc")
    ]
    beside = beside_finding(scope, _rows(study, "correct", scope, "auroc"), signals)
    return [*found, beside] if beside else found


def signals_finding(rows: dict[str, pd.DataFrame], questions: int) -> str:
    """In how many layers and statistics norms go with each signal, over all responses."""
    known = {name: of for name, of in rows.items() if of["value"].notna().any()}
    if not known:
        return f"No figure is shown: {least.reason(questions) or 'nothing varies'}."
    claimed = {name: int((signs(of) != 0).sum()) for name, of in known.items()}
    told = [
        f"{SIGNAL_WORDS[name]} ({share(found, int(known[name]['value'].notna().sum()), 'figure')})"
        for name, found in claimed.items()
        if found
    ]
    return f"Over all responses norms go with {listed(told) or 'none of the other signals'}."


def beside_finding(scope: str, norms: pd.DataFrame, signals: pd.DataFrame) -> str:
    """The surest norm statistic's AUROC beside the surest covariate's; empty without both.

    The surest of many is far from a half by chance too, so that it is claimed only where its
    corrected p says so.
    """
    norm, signal = surest(norms), surest(signals)
    if norm is None or signal is None:
        return ""
    where = "Over all responses" if scope == "pooled" else "Within question"
    name = str(signal["covariate"])
    words = SIGNAL_WORDS.get(name, name.replace("_", " "))
    if not (signs(norms, null=0.5) != 0).any():
        return (
            f"{where} no norm figure is shown to tell right responses from wrong ones; the AUROC "
            f"of {words} is {of_row(signal)}."
        )
    return (
        f"{where} right responses are told from wrong ones by the "
        f"{named(norm['layer'], norm['statistic'])} with AUROC {of_row(norm)}, by {words} with "
        f"{of_row(signal)}."
    )


def surest(rows: pd.DataFrame) -> pd.Series | None:
    """The row whose interval is furthest from a half, which the fewest questions don't win."""
    rows = rows[rows["value_high"] > rows["value_low"]]
    sure = np.maximum(rows["value_low"] - 0.5, 0.5 - rows["value_high"])
    return None if rows.empty or sure.isna().all() else rows.loc[sure.idxmax()]


def _correlations(study: Study) -> Table:
    figures = {
        f"{signal}{end}": _rows(study, signal, scope)
        for signal in _signals(study)
        for scope, end in (("pooled", ""), (WITHIN, "_within"))
    }
    return Table(
        name="correlations",
        title="Norm statistics with length and confidence",
        frame=side_by_side(figures, list(figures)),
        caption="Spearman's coefficients of all rows, over all responses and within question, with "
        "95 % question-clustered intervals; …_holm is the p corrected over layers × statistics.",
    )


def _partials(study: Study) -> Table:
    import pandas as pd

    of = {"variant": "all_rows", "outcome": "correct", "measure": "spearman"}
    frames = []
    for scope in study.scopes:
        figures = {control: study.rows(**of, scope=scope, control=control) for control in CONTROLS}
        frames.append(side_by_side(figures, list(figures)))
        frames[-1].insert(0, "scope", scope)
    return Table(
        name="partials",
        title="Norm statistics and correctness, under each control",
        frame=pd.concat(frames, ignore_index=True),
        caption="Spearman's coefficient of all rows with correctness, raw (none) and partial.",
        meanings={
            name: f"controlled for {listed(COVARIATE_WORDS[one] for one in covariates)}"
            for name, covariates in CONTROLS.items()
            if covariates
        },
    )


def _covariates(study: Study) -> Table:
    kept = study.signals[study.signals["value"].notna()]
    columns = ("covariate", "scope", "measure", "value", "value_low", "value_high", "p")
    return Table(
        name="covariates",
        title="The covariates and correctness themselves",
        frame=kept[[*columns, "responses", "questions"]],
        caption="What length and confidence alone say of correctness: the measure for the norms.",
        meanings=COVARIATES,
    )


def _heat_maps(study: Study) -> Figure | None:
    """A map a signal and scope; None where nothing is known."""
    grids = {
        (scope, signal): grid
        for scope in ("pooled", WITHIN)
        if scope in study.scopes
        for signal in _signals(study)
        if np.isfinite(grid := _grid(study, signal, scope)).any()
    }
    if not grids:
        return None
    columns = max(sum(scope == one for one, _ in grids) for scope, _ in grids)
    title = f"Norms with length and confidence: {study.options.task}"
    drawing, axes = new_grid(title, len(grids), columns, width=3.4, height=3.2)
    names: Sequence[str] = [STATISTIC_WORDS[one] for one in STATISTICS]
    image: Any = None
    for index, (panel, ((scope, signal), grid)) in enumerate(
        zip(axes, grids.items(), strict=False)
    ):
        rows = names if index % columns == 0 else [""] * len(names)
        look = {"cmap": "PuOr_r", "vmin": -1, "vmax": 1}
        panel = axes[index]
        image = panels.heat_map(panel, grid, rows, study.measured.layers, **look)
        panel.set_title(f"{SIGNAL_WORDS[signal]}, {scope}", fontsize=9)
        panel.set_xlabel("layer")
    drawing.colorbar(image, ax=axes, label="Spearman", shrink=0.8)
    return Figure(
        name="confounds",
        title="Norm statistics with length and confidence",
        caption="Spearman's coefficient by layer and statistic, all rows.",
        alt="Heat maps of the correlations of norm statistics with length, log-probability, "
        "entropy and self-certainty.",
        drawing=drawing,
    )


def _grid(study: Study, signal: str, scope: str) -> np.ndarray:
    """(statistics, layers)."""
    grid = _rows(study, signal, scope).pivot(index="statistic", columns="layer", values="value")
    return grid.reindex(index=list(STATISTICS), columns=list(study.measured.layers)).to_numpy(float)
