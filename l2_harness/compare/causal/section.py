"""The section ``causal``: all arms of all tasks, as tables, figures and findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.compare.causal.dose import dose_curves
from l2_harness.compare.causal.edits import edit_counts, per_edit
from l2_harness.compare.causal.effects import effects_of, plain_points
from l2_harness.compare.causal.plots import difference_bars, dose_lines
from l2_harness.compare.causal.runs import runs_of
from l2_harness.compare.causal.tables import TABLES
from l2_harness.compare.causal.words import Analysis, findings
from l2_harness.findings.section import Figure, Section

if TYPE_CHECKING:
    import pandas as pd

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


def analyse(table: pd.DataFrame, *, seed: int = 0) -> list[Analysis]:
    """Everything that the arms say, task by task.

    Args:
        table: of answers, as :mod:`~l2_harness.compare.causal.runs` has it.
        seed: of everything that is drawn.

    Raises:
        ConfigError: a table that arms cannot be read from.
    """
    tasks = runs_of(table)
    effects = effects_of(tasks, seed=seed)
    curves = dose_curves(tasks, seed=seed)
    return [
        Analysis(
            runs,
            [effect for effect in effects if effect.task == runs.task],
            edit_counts(runs),
            per_edit(runs),
            [curve for curve in curves if curve.task == runs.task],
            plain_points(runs),
        )
        for runs in tasks
    ]


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
    tables = [make(analyses) for make in TABLES]
    return Section(
        name=NAME,
        title="Cause: what depends on the peaks",
        order=ORDER,
        findings=[text for a in analyses for text in findings(a, named=len(analyses) > 1)],
        caveats=[*notes, *CAVEATS],
        settings=settings,
        command=command,
        tables=[table for table in tables if len(table.frame)],
        figures=_figures(analyses),
    )


def _figures(analyses: Sequence[Analysis]) -> list[Figure]:
    bars = [(a.runs.task, [e for e in a.effects if e.family == "plain"]) for a in analyses]
    bars = [(task, effects) for task, effects in bars if effects]
    figures = []
    if bars:
        figures.append(
            Figure(
                "differences",
                "What each edit costs",
                "Accuracy less that of the plain arm, in points, with 95 % intervals; pale bars "
                "can't be claimed after correction. Peaks matter more than other states only where "
                "their bar reaches further down than those of the controls beside it.",
                _alt(bars),
                difference_bars(bars, "What each edit costs"),
            )
        )
    curves = [curve for a in analyses for curve in a.curves]
    if curves:
        figures.append(
            Figure(
                "dose_curves",
                "Dose curves",
                "The less of the edited states is kept, the further to the right. Bars are 95 % "
                "intervals.",
                f"Lines of accuracy over the share kept, for {_list({c.where for c in curves})}.",
                dose_lines(curves, "Accuracy by how much of a state is kept"),
            )
        )
    return figures


def _alt(bars: Sequence[tuple[str, Sequence[Any]]]) -> str:
    effects = [effect for _, of_task in bars for effect in of_task]
    lowest = min(effects, key=lambda effect: effect.points.value)
    return (
        f"Bars of {len(effects)} arms; the lowest is {lowest.run.arm.name} at "
        f"{lowest.points.value:+.1f} points."
    )


def _list(words: set[Any]) -> str:
    return ", ".join(sorted(map(str, words)))
