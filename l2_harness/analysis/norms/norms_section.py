"""The section ``norms``: norm statistics and correctness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms import norms_figures as figures
from l2_harness.analysis.norms.labels import controlled_for, named, section_of
from l2_harness.analysis.norms.norms_tables import norms_tables
from l2_harness.analysis.norms.relations import WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.findings import least
from l2_harness.findings.claims import signs
from l2_harness.findings.section import Section
from l2_harness.findings.words import capital, count, estimate, listed, share

if TYPE_CHECKING:
    import pandas as pd

    from l2_harness.analysis.norms.held_out import HeldOutChoice


def norms_section(study: Study, command: str) -> Section:
    """What norms say of correctness; of a study without verdicts, that nothing was judged."""
    return section_of(
        *(study, command, "norms", "Norms and correctness"),
        findings=_findings(study),
        caveats=_caveats(study),
        tables=norms_tables(study),
        figures=_figures(study),
    )


def _findings(study: Study) -> list[str]:
    if study.verdicts is None:
        what = count(len(study.measured.traces), "response")
        return [f"Without --samples nothing is known of the correctness of {what}."]
    values = study.verdicts.values[np.isfinite(study.verdicts.values)]
    if not np.ptp(values if len(values) else [0]):
        return [all_alike(values, study.verdicts.metric)]
    found = []
    for scope in [one for one in ("pooled", WITHIN) if one in study.scopes]:
        of = {"variant": "all_rows", "outcome": "correct", "scope": scope, "measure": "spearman"}
        raw, controlled = (study.rows(**of, control=control) for control in ("none", "all"))
        questions = len(study.resamples.labels) if scope == "pooled" else raw["questions"].max()
        found.append(scope_finding(scope, raw, controlled, controlled_for(study), int(questions)))
    raw = [choice for choice in study.choices if choice.control == "none"]
    if raw:
        choice = next((one for one in raw if one.scope == WITHIN), raw[0])
        found.append(held_out_finding(choice, named(*study.column(choice.column))))
    return found


def all_alike(values: np.ndarray, metric: str) -> str:
    """That every response has one verdict, so that nothing goes with it."""
    if not len(values):
        return "No response was judged, so nothing can go with correctness."
    what = {0.0: "wrong", 1.0: "right"}.get(float(values[0]), f"of the same {metric}")
    whole = "The only response is" if len(values) == 1 else f"All {len(values):,} responses are"
    return f"{whole} {what}, so nothing can go with correctness."


def scope_finding(
    scope: str,
    raw: pd.DataFrame,
    controlled: pd.DataFrame,
    controls: Sequence[str],
    questions: int,
) -> str:
    """How many figures go with correctness, and how many of them stay when controlled.

    Args:
        scope: pooled or within question.
        raw: a row a layer and statistic.
        controlled: the same rows, partial; empty where nothing could be controlled for.
        controls: for what, in words.
        questions: that tell, of the scope.
    """
    where = "over all responses" if scope == "pooled" else scope
    defined = int(raw["value"].notna().sum())
    if not defined:
        why = least.reason(questions, "mixed question" if scope == WITHIN else "question")
        return f"{capital(where)} no figure is shown: {why or 'no norm varies there'}."
    before = signs(raw)
    found = int((before != 0).sum())
    text = f"{capital(where)} {share(found, defined, 'norm figure')} {_go(found)} with correctness"
    if not found or controlled.empty or not controls:
        return f"{text}."
    stay = int(((before != 0) & (signs(controlled) == before)).sum())
    return (
        f"{text}; {stay or 'none'} {'stays' if stay < 2 else 'stay'} when controlled for "
        f"{listed(controls)}."
    )


def _go(found: int) -> str:
    return "goes" if found < 2 else "go"


def held_out_finding(choice: HeldOutChoice, chosen: str) -> str:
    """What was chosen on some questions, and what it comes to on the others."""
    where = "over all responses" if choice.scope == "pooled" else choice.scope
    start = f"Chosen {where} on {count(choice.choosing, 'question')}, the {chosen}"
    held, noun = choice.held_out, "mixed question" if choice.scope == WITHIN else "question"
    if not least.enough(held.questions, noun):
        return f"{start} is not shown on the others: {least.reason(held.questions, noun)}."
    others = count(held.questions, "other question")
    return f"{start} has Spearman {estimate(held, sign=True)} on {others}."


def _caveats(study: Study) -> list[str]:
    texts = [
        *study.notes,
        "A correlation is no cause: the section on interventions, where there is one, tests that.",
        "Raw norms are compared between responses at one layer, never between layers or models.",
        "A partial correlation takes out what is linear in a covariate's ranks, no more.",
        "Intervals are of each figure alone; claims are corrected over layers × statistics.",
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
    """Those that have something to show."""
    if study.verdicts is None:
        return []
    found = [figures.by_layer(study), figures.pooled_and_within(study)]
    if study.choices:
        found.append(figures.accuracy_by_norm(study))
    return [figure for figure in found if figure is not None]
