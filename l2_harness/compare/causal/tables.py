"""The tables of the section, from what was computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.compare.causal.effects import Effect
from l2_harness.compare.causal.words import Analysis
from l2_harness.findings.section import Table

if TYPE_CHECKING:
    import pandas as pd

_P = {
    "p": "two-sided; McNemar's exact p where all scores are 0 or 1, else of random signs",
    "p_corrected": "corrected for all rows of the same comparison",
    "claimed": "whether the corrected p is below 0.05 and the interval excludes zero",
}


def arm_table(analyses: Sequence[Analysis]) -> Table:
    """Every arm's accuracy and its difference to plain."""
    rows = []
    for a in analyses:
        rows.append({"task": a.runs.task, "arm": "plain", **a.plain.columns("accuracy")})
        for effect in (e for e in a.effects if e.family == "plain"):
            accuracy = 100 * float(effect.run.scores.mean())
            row = {"task": a.runs.task, "arm": effect.run.arm.name, "accuracy": accuracy}
            rows.append(row | _effect(effect))
    return Table(
        "arms",
        "Accuracy by arm",
        _frame(rows, analyses),
        "Each arm's name says which states it edits, what of them, and the share that is kept. "
        "Differences are paired by question; their intervals are corrected for the number of arms.",
        {"accuracy": "mean score, %", **_effect_meanings("plain")},
    )


def control_table(analyses: Sequence[Analysis]) -> Table:
    """Peaks less each control, and direction less norm."""
    rows = [
        {"task": a.runs.task, "arm": e.run.arm.name, "less": e.against.arm.name, **_effect(e)}
        for a in analyses
        for e in a.effects
        if e.family != "plain"
    ]
    return Table(
        "controls",
        "Peaks against their controls",
        _frame(rows, analyses),
        "The same edit of other states, on the same questions. Below zero, editing the peaks "
        "costs more. The last rows set direction against norm.",
        _effect_meanings("the other arm"),
    )


def edit_table(analyses: Sequence[Analysis]) -> Table:
    """What every arm did to the responses."""
    rows = [
        {
            "task": a.runs.task,
            "arm": c.run.arm.name,
            "edits": c.total,
            **c.per_response.columns("edits_per_response"),
            "edits_per_100_tokens": c.per_100_tokens,
            "ratio_to_peaks": c.ratio,
            "left_over": c.left,
            "edited_share": c.edited,
            "changed_share": c.changed,
            **c.longer.columns("longer"),
            "truncated_share": c.truncated,
        }
        for a in analyses
        for c in a.counts
    ]
    return Table(
        "edits",
        "Edits, and what they did to the responses",
        _frame(rows, analyses),
        "A control has as many edits as its own responses have peaks, less what is left over. "
        "That may be another number than the peak arm's: there a peak that is edited at one layer "
        "is often none at the next, and the responses go other ways.",
        {
            "edits": "states edited, all responses and layers",
            "edits_per_response": "the mean, with its interval",
            "ratio_to_peaks": "edits over those of the peak arm of the same edit",
            "left_over": "edits not made when the responses ended",
            "edited_share": "share of questions with an edit",
            "changed_share": "share of questions answered otherwise than by the plain arm",
            "longer": "tokens more than the plain response, the mean",
            "truncated_share": "share of responses that the token limit ended",
        },
    )


def layer_table(analyses: Sequence[Analysis]) -> Table:
    """Where every arm's edits were, and how its responses' peaks lie, the sham being those."""
    rows = [
        {
            "task": a.runs.task,
            "arm": c.run.arm.name,
            **{f"layer_{layer}": edits for layer, edits in c.run.by_layer.items()},
        }
        for a in analyses
        for c in a.counts
        if c.run.by_layer
    ]
    return Table(
        "layers",
        "Edits a response by layer",
        _frame(rows, analyses),
        "The same edit may cost more at one layer than at another. The sham's row is where the "
        "plain responses peak.",
    )


def per_edit_table(analyses: Sequence[Analysis]) -> Table:
    """Points an edit, and the difference in differences."""
    rows = [
        {
            "task": a.runs.task,
            "arm": each.peaks.arm.name,
            "control": each.control.arm.name,
            **each.at_peaks.columns("at_peaks"),
            **each.at_control.columns("at_control"),
            **each.difference.columns("difference"),
        }
        for a in analyses
        for each in a.per_edit
    ]
    return Table(
        "per_edit",
        "Points an edit",
        _frame(rows, analyses),
        "The difference to plain over the edits a response: a comparison that does not need equal "
        "numbers of edits. It takes edits to add up, which near an accuracy of 0 they do not.",
        {
            "at_peaks": "points an edit of a peak",
            "at_control": "points an edit of the control's states",
            "difference": "the first less the second (difference in differences)",
        },
    )


def dose_table(analyses: Sequence[Analysis]) -> Table:
    """The dose curves' points."""
    rows = [
        {
            "task": curve.task,
            "where": curve.where,
            "kept": factor,
            **estimate.columns("points"),
        }
        for a in analyses
        for curve in a.curves
        for factor, estimate in zip(curve.factors, curve.points, strict=True)
    ]
    return Table(
        "doses",
        "Dose curves",
        _frame(rows, analyses),
        "States are multiplied by the share that is kept; 1 is the plain arm.",
        {"kept": "factor", "points": "accuracy less plain's, points"},
    )


def trend_table(analyses: Sequence[Analysis]) -> Table:
    """The lines through the dose curves."""
    rows = []
    for a in analyses:
        for curve in a.curves:
            trends = [(f"{curve.where}", curve.trend)]
            if curve.against_peaks is not None:
                trends.append((f"peaks less {curve.where}", curve.against_peaks))
            for name, trend in trends:
                rows.append(
                    {
                        "task": curve.task,
                        "of": name,
                        **trend.slope.columns("slope"),
                        "p": trend.p,
                        "p_corrected": trend.p_corrected,
                        "claimed": trend.claimed,
                    }
                )
    return Table(
        "trends",
        "Trends over the dose",
        _frame(rows, analyses),
        "Least-squares lines through each question's scores, averaged over the questions.",
        {"slope": "points from keeping all of a state to keeping none", **_P},
    )


#: In the order of the section.
TABLES: tuple[Callable[[Sequence[Analysis]], Table], ...] = (
    arm_table,
    control_table,
    edit_table,
    layer_table,
    per_edit_table,
    dose_table,
    trend_table,
)


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        **effect.points.columns("difference"),
        "higher": effect.more,
        "lower": effect.fewer,
        "p": effect.points.p,
        "p_corrected": effect.points.p_corrected,
        "claimed": effect.claimed,
        "too_few": effect.hopeless,
    }


def _effect_meanings(other: str) -> dict[str, str]:
    return {
        "difference": f"accuracy less that of {other}, points",
        "higher": f"questions with a higher score than {other} has",
        "lower": "questions with a lower one",
        **_P,
        "too_few": "whether so few responses changed that nothing could have been claimed",
    }


def _frame(rows: Sequence[dict[str, Any]], analyses: Sequence[Analysis]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    known = frame.dropna(axis="columns", how="all").convert_dtypes()
    return known if len(analyses) > 1 else known.drop(columns="task", errors="ignore")
