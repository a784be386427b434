"""The section ``confounds``: norms beside length and the model's own confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.covariates import CONTROLS, COVARIATES
from l2_harness.analysis.norms.norm_statistics import STATISTICS
from l2_harness.analysis.norms.relations import SIGNALS, WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.words import (
    ORDERS,
    SIGNAL_WORDS,
    STATISTIC_WORDS,
    counted,
    interval,
    listed,
    named,
    plain_interval,
    settings,
    shown,
    strongest,
)
from l2_harness.findings.figures import new_figure
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd

_CONTROL_WORDS = {
    "length": "log length",
    "position": "mean position",
    "entropy": "mean entropy",
    "truncation": "truncation",
    "logprob": "mean log-probability",
    "all": "log length, position, entropy and truncation together",
    "all_and_logprob": "these four and mean log-probability",
}


def confounds_section(study: Study, command: str) -> Section:
    """What norms go with besides correctness, and what is left when it is taken out."""
    tables = [_correlations(study)]
    if study.verdicts is not None:
        tables += [_partials(study), _covariates(study)]
    return Section(
        name="confounds",
        title=f"What else norms go with: {study.subject}",
        order=ORDERS["confounds"],
        findings=[*_signal_findings(study), *_control_findings(study)],
        caveats=[
            "What norms share with length or confidence is not thereby explained by them.",
            "Area and number of peaks are sums over rows and grow with length by construction.",
            "Entropy, log-probability and self-certainty are the model's own confidence: taking "
            "them out may take out what norms are a signal of.",
        ],
        settings=settings(study),
        command=command,
        tables=tables,
        figures=[_heatmaps(study)],
    )


def _signals(study: Study) -> list[str]:
    return [name for name in SIGNALS if (study.table["outcome"] == name).any()]


def _signal_findings(study: Study) -> list[str]:
    texts = []
    for signal in _signals(study):
        of = {"variant": "all_rows", "outcome": signal, "measure": "spearman", "control": "none"}
        rows = study.rows(**of, scope="pooled")
        best = strongest(rows)
        if best is None:
            continue
        text = (
            f"With {SIGNAL_WORDS[signal]}, over all responses, {counted(rows)}; the largest is "
            f"that of the {named(best)}, {interval(best)}"
        )
        inside = strongest(study.rows(**of, scope=WITHIN)) if WITHIN in study.scopes else None
        if inside is not None:
            text += f"; within question that of the {named(inside)}, {interval(inside)}"
        texts.append(text + ".")
    return texts


def _control_findings(study: Study) -> list[str]:
    """What each control leaves of the raw effects on correctness."""
    if study.verdicts is None:
        return ["Without --samples nothing is known of correctness, so nothing is controlled for."]
    texts = []
    for scope in study.scopes:
        of = {"variant": "all_rows", "outcome": "correct", "scope": scope, "measure": "spearman"}
        raw = study.rows(**of, control="none")
        before = shown(raw)
        where = "over all responses" if scope == "pooled" else scope
        if not before.any():
            texts.append(f"Norms and correctness, {where}: no raw effect that could be explained.")
            continue
        left = []
        for control in CONTROLS:
            rows = study.rows(**of, control=control)
            if control != "none" and not rows.empty:
                stays = int(((before != 0) & (shown(rows) == before)).sum())
                left.append(f"{stays} for {_CONTROL_WORDS[control]}")
        texts += _against_signals(study, scope, where)
        texts.append(
            f"Norms and correctness, {where}: {int((before != 0).sum())} raw effects, of which "
            f"there stay, when controlled: {listed(left)}."
        )
    return texts


def _against_signals(study: Study, scope: str, where: str) -> list[str]:
    """The best norm statistic's AUROC beside the best covariate's."""
    of = {"variant": "all_rows", "outcome": "correct", "scope": scope, "measure": "auroc"}
    norms = study.rows(**of)
    signals = study.signals[(study.signals["scope"] == scope) & study.signals["value"].notna()]
    signals = signals[signals["measure"] == "auroc"].reset_index(drop=True)
    if signals.empty or not norms["value"].notna().any():
        return []
    norm = norms.loc[(norms["value"] - 0.5).abs().idxmax()]
    signal = signals.loc[(signals["value"] - 0.5).abs().idxmax()]
    name = SIGNAL_WORDS.get(signal["covariate"], signal["covariate"].replace("_", " "))
    return [
        f"How often a right response has the larger value than a wrong one, {where}: "
        f"{plain_interval(norm, 'value')} for the {named(norm)}, the norm statistic furthest from "
        f"a half, and {plain_interval(signal, 'value')} for {name}, the covariate furthest from it."
    ]


def _correlations(study: Study) -> Table:
    import pandas as pd

    result: pd.DataFrame | None = None
    for signal in _signals(study):
        for scope in [one for one in ("pooled", WITHIN) if one in study.scopes]:
            of = {"variant": "all_rows", "outcome": signal, "scope": scope, "control": "none"}
            rows = study.rows(**of, measure="spearman")
            short = signal if scope == "pooled" else f"{signal}_within"
            ends = {f"value{end}": f"{short}{end}" for end in ("", "_low", "_high")}
            kept = rows[["layer", "statistic", *ends]].rename(columns=ends)
            kept[f"{short}_holm"] = rows["p_holm"]
            result = kept if result is None else result.merge(kept, on=["layer", "statistic"])
    return Table(
        name="correlations",
        title="Norm statistics with length and confidence",
        frame=pd.DataFrame() if result is None else result,
        caption="Spearman's coefficients of all rows, over all responses and within question, with "
        "95 % question-clustered intervals; …_holm is p, corrected over layers × statistics.",
    )


def _partials(study: Study) -> Table:
    rows = study.rows(variant="all_rows", outcome="correct", measure="spearman")
    ends = ["value", "value_low", "value_high", "p_holm"]
    keys = ["scope", "layer", "statistic"]
    wide = rows.pivot(index=keys, columns="control", values=ends)
    wide.columns = [
        f"{control}{name.removeprefix('value')}" if name != "p_holm" else f"{control}_holm"
        for name, control in wide.columns
    ]
    order = [
        f"{control}{end}"
        for control in CONTROLS
        for end in ("", "_low", "_high", "_holm")
        if control in wide.columns
    ]
    return Table(
        name="partials",
        title="Norm statistics and correctness, under each control",
        frame=wide[order].reset_index(),
        caption="Spearman's coefficient of all rows with correctness, raw (none) and partial.",
        meanings={name: f"controlled for {words}" for name, words in _CONTROL_WORDS.items()},
    )


def _covariates(study: Study) -> Table:
    kept = study.signals[study.signals["value"].notna()]
    return Table(
        name="covariates",
        title="The covariates and correctness themselves",
        frame=kept[
            [
                *("covariate", "scope", "measure", "value", "value_low", "value_high"),
                *("p", "responses", "questions"),
            ]
        ],
        caption="What length and confidence alone say of correctness: the measure for the norms.",
        meanings=COVARIATES,
    )


def _heatmaps(study: Study) -> Figure:
    signals = _signals(study)
    scopes = [scope for scope in ("pooled", WITHIN) if scope in study.scopes]
    drawing, panels = new_figure(
        f"Norms with length and confidence: {study.options.task}",
        *(len(signals), len(scopes)),
        width=3.4,
        height=3.2,
    )
    layers, image = study.measured.layers, None
    for panel, (scope, signal) in zip(
        panels, ((s, g) for s in scopes for g in signals), strict=True
    ):
        of = {"variant": "all_rows", "outcome": signal, "measure": "spearman", "control": "none"}
        rows = study.rows(**of, scope=scope)
        grid = rows.pivot(index="statistic", columns="layer", values="value")
        values = grid.loc[list(STATISTICS), list(layers)].to_numpy(float)
        image = panel.imshow(values, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
        panel.set_title(f"{SIGNAL_WORDS[signal]}, {scope}", fontsize=9)
        ticks = np.unique(np.linspace(0, len(layers) - 1, min(len(layers), 6)).round().astype(int))
        panel.set_xticks(ticks, [str(layers[tick]) for tick in ticks])
        names = [STATISTIC_WORDS[one] for one in STATISTICS] if signal == signals[0] else []
        panel.set_yticks(range(len(names)), names, fontsize=8)
        panel.set_xlabel("layer")
    if image is not None:
        drawing.colorbar(image, ax=panels, label="Spearman", shrink=0.8)
    return Figure(
        name="confounds",
        title="Norm statistics with length and confidence",
        caption="Spearman's coefficient by layer and statistic, all rows.",
        alt="Heat maps of the correlations of norm statistics with length, log-probability, "
        "entropy and self-certainty.",
        drawing=drawing,
    )
