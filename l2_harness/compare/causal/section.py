"""The section ``causal``: all arms of all tasks, as tables, figures and findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2_harness.compare.causal.analysis import Analysis, analyse
from l2_harness.compare.causal.figures import causal_figures
from l2_harness.compare.causal.findings import causal_findings, causal_notes
from l2_harness.compare.causal.tables import causal_tables
from l2_harness.findings.section import Section

__all__ = ["analyse", "causal_section"]

NAME, ORDER = "causal", 40
CAVEATS = (
    "An edit puts a state where the model has never seen one: what it costs shows that later "
    "computation reads the state, not that the state does what its norm is taken to mean.",
    "Arms diverge from their first edit on. After it an arm's peaks are those of its own response, "
    "so that numbers of edits differ, and later edits fall on another text.",
    "Scaling keeps the same share of every state, which of a peak, the larger state, is more.",
    "A control's states differ from peaks in more than their norm: in their position in the "
    "response, their tokens, and with shuffled layers in the layer's depth.",
    "Accuracy can't fall below 0: near it doses and edits no longer add up.",
    "The findings are of this model, these tasks, layers and thresholds.",
)


def causal_section(
    analyses: Sequence[Analysis],
    *,
    settings: Mapping[str, Any],
    command: str = "",
    notes: Sequence[str] = (),
) -> Section:
    """The section of what :func:`analyse` found.

    Args:
        analyses: one a task.
        settings: what was run and with what.
        command: that makes it.
        notes: more caveats, such as arms that failed.
    """
    return Section(
        name=NAME,
        title="Cause: what depends on the peaks",
        order=ORDER,
        findings=causal_findings(analyses),
        caveats=[*notes, *causal_notes(analyses), *CAVEATS],
        settings=settings,
        command=command,
        tables=causal_tables(analyses),
        figures=causal_figures(analyses),
    )
