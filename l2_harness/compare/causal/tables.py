"""The tables of the section, from what was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from l2_harness.compare.causal.analysis import Analysis
from l2_harness.compare.causal.effects import Effect
from l2_harness.findings import least
from l2_harness.findings.section import Table

if TYPE_CHECKING:
    import pandas as pd

Cells = dict[str, Any]

_P = {
    "p": "two-sided; McNemar's exact p where all scores are 0 or 1, else of random signs",
    "p_corrected": "corrected over all rows of the same comparison",
    "claimed": "whether the corrected p is below 0.05 and the interval excludes zero",
}


def causal_tables(analyses: Sequence[Analysis]) -> list[Table]:
    """Those that have rows, in the order of the section."""
    tables = []
    for plan in _PLANS:
        frame = _frame(plan.rows, analyses)
        if len(frame):
            tables.append(
                Table(plan.name, plan.title, frame, plan.caption, plan.meanings, plan.brief)
            )
    return tables


def _arms(a: Analysis) -> Iterator[Cells]:
    yield {"arm": "plain", **a.plain.columns("accuracy")}
    for effect in a.effects:
        if effect.family == "plain":
            accuracy = 100 * float(effect.run.scores.mean())
            yield {"arm": effect.run.arm.name, "accuracy": accuracy, **_effect(a, effect)}


def _controls(a: Analysis) -> Iterator[Cells]:
    for effect in a.effects:
        if effect.family != "plain":
            less = effect.against.arm.name
            yield {"arm": effect.run.arm.name, "less": less, **_effect(a, effect)}


def _edits(a: Analysis) -> Iterator[Cells]:
    for c in a.counts:
        yield {
            "arm": c.run.arm.name,
            "edits": c.total,
            **c.per_response.columns("edits_per_response"),
            "edits_per_100_tokens": c.per_100_tokens,
            "ratio_to_peaks": c.ratio,
            "change": c.change,
            "row": c.row,
            "left_over": c.left,
            "edited_share": c.edited,
            "changed_share": c.changed,
            **c.longer.columns("longer"),
            "truncated_share": c.truncated,
        }


def _layers(a: Analysis) -> Iterator[Cells]:
    for c in a.counts:
        if c.run.by_layer:
            edits = {f"layer_{layer}": edits for layer, edits in c.run.by_layer.items()}
            yield {"arm": c.run.arm.name, **edits}


def _per_edit(a: Analysis) -> Iterator[Cells]:
    for each in a.per_edit:
        yield {
            "arm": each.peaks.arm.name,
            "control": each.control.arm.name,
            **each.at_peaks.columns("at_peaks"),
            **each.at_control.columns("at_control"),
            **each.difference.columns("difference"),
        }


def _doses(a: Analysis) -> Iterator[Cells]:
    for curve in a.curves:
        for factor, found in zip(curve.factors, curve.points, strict=True):
            yield {"where": curve.where, "kept": factor, **found.columns("points")}


def _trends(a: Analysis) -> Iterator[Cells]:
    for curve in a.curves:
        for name, trend in (
            (f"{curve.where}", curve.trend),
            (f"peaks less {curve.where}", curve.against_peaks),
        ):
            if trend is not None:
                p = {"p": trend.p, "p_corrected": trend.p_corrected}
                claimed = trend.claimed and least.enough(a.questions)
                yield {"of": name, **trend.slope.columns("slope"), **p, "claimed": claimed}


def _effect(a: Analysis, effect: Effect) -> Cells:
    return {
        **effect.points.columns("difference"),
        "higher": effect.more,
        "lower": effect.fewer,
        "p": effect.points.p,
        "p_corrected": effect.points.p_corrected,
        "claimed": a.claimed(effect),
        "too_few": effect.hopeless,
    }


def _frame(rows: Callable[[Analysis], Iterator[Cells]], of: Sequence[Analysis]) -> pd.DataFrame:
    """All tasks' rows, without the intervals and tests of too few questions."""
    import pandas as pd

    frames = []
    for a in of:
        frame = pd.DataFrame(list(rows(a)))
        names = [str(name).removesuffix("_low") for name in frame if str(name).endswith("_low")]
        frames.append(least.kept(frame, a.questions, names, values=False))
        if len(of) > 1:
            frames[-1].insert(0, "task", a.runs.task)
    whole = pd.concat(frames, ignore_index=True)
    return whole.dropna(axis="columns", how="all").convert_dtypes()


def _effect_meanings(other: str) -> dict[str, str]:
    return {
        "difference": f"accuracy less that of {other}, points",
        "higher": f"questions with a higher score than {other} has",
        "lower": "questions with a lower one",
        **_P,
        "too_few": "whether so few responses changed that nothing could have been claimed",
    }


class _Plan(NamedTuple):
    name: str
    title: str
    rows: Callable[[Analysis], Iterator[Cells]]
    caption: str
    meanings: Mapping[str, str] = {}
    brief: Sequence[str] = ()


_PLANS = (
    _Plan(
        "arms",
        "Accuracy by arm",
        _arms,
        "Each arm's name says which states it edits, what of them, and the share that is kept. "
        "Differences are paired by question; their intervals are corrected for the number of arms.",
        {"accuracy": "mean score, %", **_effect_meanings("plain")},
        ("task", "arm", "accuracy", "difference", "p_corrected", "claimed"),
    ),
    _Plan(
        "controls",
        "Peaks against their controls",
        _controls,
        "The same edit of other states, on the same questions. Below zero, editing the peaks "
        "costs more. The last rows set direction against norm.",
        _effect_meanings("the other arm"),
    ),
    _Plan(
        "edits",
        "Edits, and what they did to the responses",
        _edits,
        "Of generated responses, random states are as many as the peaks that were edited, at rows "
        "near theirs. Shuffled layers have as many as their own responses have peaks, less what is "
        "left over; that may be another number.",
        {
            "edits": "states edited, all responses and layers",
            "edits_per_response": "the mean, with its interval",
            "ratio_to_peaks": "edits over those of the peak arm of the same edit",
            "change": "their dose: mean ‖Δ‖/‖h‖ of the edited states, sinks left out",
            "row": "their mean row in the response, from 0",
            "left_over": "edits not made when the responses ended",
            "edited_share": "share of questions with an edit",
            "changed_share": "share of questions answered otherwise than by the plain arm",
            "longer": "tokens more than the plain response, the mean",
            "truncated_share": "share of responses that the token limit ended",
        },
    ),
    _Plan(
        "layers",
        "Edits a response by layer",
        _layers,
        "The same edit may cost more at one layer than at another. The sham's row is where the "
        "plain responses peak.",
    ),
    _Plan(
        "per_edit",
        "Points an edit",
        _per_edit,
        "The difference to plain over the edits a response: a comparison that does not need equal "
        "numbers of edits. It takes edits to add up, which near an accuracy of 0 they do not.",
        {
            "at_peaks": "points an edit of a peak",
            "at_control": "points an edit of the control's states",
            "difference": "the first less the second (difference in differences)",
        },
    ),
    _Plan(
        "doses",
        "Dose curves",
        _doses,
        "States are multiplied by the share that is kept; 1 is the plain arm.",
        {"kept": "factor", "points": "accuracy less plain's, points"},
    ),
    _Plan(
        "trends",
        "Trends over the dose",
        _trends,
        "Least-squares lines through each question's scores, averaged over the questions.",
        {"slope": "points from keeping all of a state to keeping none", **_P},
    ),
)
