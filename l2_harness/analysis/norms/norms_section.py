"""The section ``norms``: norm statistics and correctness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms import norm_figures as figures
from l2_harness.analysis.norms.norms_tables import norms_tables
from l2_harness.analysis.norms.relations import WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.words import (
    ORDERS,
    STATISTIC_WORDS,
    VARIANT_WORDS,
    counted,
    interval,
    named,
    settings,
    shown,
    strongest,
)
from l2_harness.findings.section import Section

if TYPE_CHECKING:
    import pandas as pd


def norms_section(study: Study, command: str) -> Section:
    """What norms say of correctness; of a study without verdicts, that nothing was judged."""
    return Section(
        name="norms",
        title=f"Norms and correctness: {study.subject}",
        order=ORDERS["norms"],
        findings=_findings(study),
        caveats=_caveats(study),
        settings=settings(study),
        command=command,
        tables=norms_tables(study),
        figures=[] if study.verdicts is None else _figures(study),
    )


def _findings(study: Study) -> list[str]:
    measured, found = study.measured, study.verdicts
    n, questions = len(measured.traces), len(study.resamples.labels)
    what = (
        f"{n} responses to {questions} questions of {study.options.task}, {measured.rows} rows at "
        f"{len(measured.layers)} layers"
    )
    if found is None:
        return [
            f"{what}. No sample file was given, so nothing is said of correctness: the section on "
            "confounds has the correlations of norms with length and the model's confidence."
        ]
    basis = (
        f"{what}; mean {found.metric} {found.values.mean():.3f} ({found.source}). An effect is "
        "claimed where its p, Holm-corrected over layers × statistics, is below 0.05 and its 95 % "
        "interval, over resampled questions, leaves out zero."
    )
    texts = [text for scope in study.scopes for text in _of_scope(study, scope)]
    texts.insert(1, basis)  # a summary shows the first
    texts += _variants(study)
    texts += [_choice(study, index) for index in range(len(study.choices))]
    return [*texts, *study.notes]


def _of_scope(study: Study, scope: str) -> list[str]:
    """Raw and controlled, and what becomes of the one under the other."""
    raw, controlled = (
        study.rows(
            variant="all_rows", outcome="correct", scope=scope, measure="spearman", control=control
        )
        for control in ("none", "all")
    )
    over = "Over all responses" if scope == "pooled" else f"{scope.capitalize()}"
    best = strongest(raw)
    if best is None:
        return [
            f"{over}, no correlation with correctness is defined: nowhere is there a right and a "
            "wrong response to compare."
        ]
    text = (
        f"{over} (all rows), {counted(raw)}. The largest Spearman coefficient is that of the "
        f"{named(best)}, {interval(best)}, of {best['responses']} responses to "
        f"{best['questions']} questions."
    )
    if controlled.empty or not controlled["value"].notna().any():
        return [f"{text} Controlled figures are not defined here."]
    return [f"{text} {_controlled(raw, controlled)}"]


def _controlled(raw: pd.DataFrame, controlled: pd.DataFrame) -> str:
    before, after = shown(raw), shown(controlled)
    best = strongest(controlled)
    text = f"Controlled for log length, position, entropy and truncation, {counted(controlled)}"
    if best is not None:
        text += f"; the largest is that of the {named(best)}, {interval(best)}"
    kept = int(((before != 0) & (after == before)).sum())
    turned = int((before * after < 0).sum())
    lost = int(((before != 0) & (after == 0)).sum())
    new = int(((before == 0) & (after != 0)).sum())
    if before.any():
        text += f". Of the {int((before != 0).sum())} raw effects {kept} stay, {lost} disappear"
        text += f", {turned} with the other sign" if turned else ""
        own = controlled.iloc[int(raw["value"].abs().idxmax())]
        verdict = "stays" if shown(own.to_frame().T)[0] else "is no longer shown"
        text += f"; that of the {named(own)} becomes {interval(own)} and {verdict}"
    if new:
        text += f"; shown only under control: {new}"
    return text + "."


def _variants(study: Study) -> list[str]:
    """Whether leaving rows or dimensions out changes what is shown."""
    texts = []
    of = {"outcome": "correct", "scope": "pooled", "measure": "spearman", "control": "none"}
    whole = study.rows(variant="all_rows", **of)
    for variant in dict.fromkeys(study.table["variant"]):
        if variant == "all_rows":
            continue
        rows = study.rows(variant=variant, **of)
        best = strongest(rows)
        name = VARIANT_WORDS[str(variant)]
        if best is None:
            texts.append(f"{name.capitalize()}, nothing is left to correlate.")
            continue
        same = int((shown(whole) == shown(rows)).sum())
        what = f" ({study.measured.first_rows})" if variant == "without_first" else ""
        texts.append(
            f"{name.capitalize()}{what}, over all responses, {counted(rows)}; {same} of "
            f"{len(rows)} figures say the same as with all rows. The largest is that of the "
            f"{named(best)}, {interval(best)}, of {best['responses']} responses."
        )
    return texts


def _choice(study: Study, index: int) -> str:
    choice = study.choices[index]
    layer, statistic = study.column(choice.column)
    chosen = f"{STATISTIC_WORDS[statistic]} at layer {layer}"
    control = "" if choice.control == "none" else ", controlled for the four covariates"
    held = choice.held_out
    text = (
        f"Chosen on {choice.choosing} questions ({choice.scope}{control}): the {chosen}, with "
        f"{choice.in_sample:+.2f} there; on the other {held.questions} questions it is {held}"
    )
    if held.known:
        claim = "an effect" if held.excludes_zero else "no effect"
        text += f", which shows {claim}"
    if np.isfinite(choice.overstated):
        text += (
            f". Over {choice.splits} random splits the choice shrinks from the choosing questions "
            f"to the others by {choice.overstated:+.3f} on average (standard deviation "
            f"{choice.overstated_spread:.3f}): so much the figure of the choosing ones overstates"
        )
    return text + "."


def _caveats(study: Study) -> list[str]:
    texts = [
        "A correlation is no cause: the section on interventions, where there is one, tests that.",
        "Raw norms are compared between responses at one layer, never between layers or models.",
        "A partial correlation takes out what is linear in a covariate's ranks, no more.",
        "Intervals are of each figure alone; only the p values are corrected for their number.",
    ]
    if study.verdicts is not None and not study.verdicts.binary:
        texts.append(f"{study.verdicts.metric} is not right or wrong: no AUROC is defined.")
    if WITHIN in study.scopes:
        texts.append(
            "Within question, position is length, since all responses share the prompt; only "
            "questions with different verdicts and different norms count."
        )
    return texts


def _figures(study: Study) -> list[figures.Figure]:
    found = [figures.by_layer(study)]
    if any(scope != "pooled" for scope in study.scopes):
        found.append(figures.pooled_and_within(study))
    if study.choices:
        found.append(figures.accuracy_by_norm(study))
    return found
