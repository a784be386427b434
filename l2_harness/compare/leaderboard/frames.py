"""A leaderboard as tables of plain numbers: percent and points where scores are shares of 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from l2_harness.compare.leaderboard.findings import rank_text, spread_of, verdict_text
from l2_harness.compare.leaderboard.table import Board, Leaderboard, Row
from l2_harness.findings import least
from l2_harness.statistics.estimate import Estimate
from l2_harness.statistics.paired import Difference
from l2_harness.statistics.power import detectable, needed

if TYPE_CHECKING:
    import pandas as pd

Cells = dict[str, Any]

#: Differences that the power table asks for, in points.
POINTS = (1.0, 2.0, 5.0)

LEADERBOARD_MEANINGS: Mapping[str, str] = {
    "rank": "1 is best; = marks a place shared by methods that can't be told from its best",
    "score": "percent, or in the metric's unit; interval at 95 %: Wilson's, at the "
    "effective number of questions for averages",
    "difference": "to plain, in points; Tango's interval, corrected for the number of comparisons",
    "p_corrected": "two-sided, corrected over the methods compared with plain: McNemar's exact "
    "test for single answers, signs of the questions' differences flipped for averages",
    "null": "largest distance of plain, run once more, from plain",
    "compute": "layer passes over plain's, prompts not counted",
    "seeds": "runs with different seeds that the score is the mean of",
    "seed_sd": "standard deviation of single seeds' scores",
    "published": "others' figure, in its source's unit",
    "published_gain": "that, less plain's figure there",
    "published_gain_percent": "the same in percent of plain's figure there",
    "gain_percent": "ours, in percent of our plain's figure",
    "verdict": "by the corrected interval; equivalent: within the margin that was fixed; abstain, "
    "or not shown where no margin was fixed: it includes 0, which is no proof of equality",
}
COST_MEANINGS: Mapping[str, str] = {
    "samples": "responses to a question",
    "tokens": "response tokens of a run, all samples",
    "extra_passes_percent": "layer passes beyond one a token and layer, percent of those",
    "extra_passes_a_token": "layer passes beyond one a token and layer, a token",
    "accepted_percent": "percent of recursion's extra passes whose result was taken: `always` "
    "runs one at every state, and may take few",
    "layers_without": "layers at which extra passes ran and none was taken",
    "compute": "layer passes over plain's, prompts not counted",
    "tokens_per_second": "response tokens a second of answering",
    "speed": "tokens a second over plain's",
    "time": "seconds of answering over plain's",
    "peak_mib": "largest memory, MiB",
    "edits": "states that techniques changed",
    "edit_change": "their mean ‖Δ‖/‖h‖, sinks left out: a control should have its method's",
    "edit_row": "their mean row in the response, from 0",
}


def leaderboard_frame(board: Board) -> pd.DataFrame:
    """A row a method, columns without anything in them left out."""
    import pandas as pd

    frame = pd.DataFrame([_shown(board, row) for row in board.rows])
    if frame.empty:
        return frame
    frame = least.kept(frame, board.questions, ("score", "difference"), values=False)
    return frame.dropna(axis=1, how="all")


def cost_frame(board: Board) -> pd.DataFrame:
    """What every method took; columns that nothing is known in left out."""
    import pandas as pd

    rows = [{"method": row.method, **costs_of(row)} for row in board.rows]
    return pd.DataFrame(rows).dropna(axis=1, how="all")


def power_frame(board: Board, result: Leaderboard) -> pd.DataFrame:
    """What every comparison with plain can show, and what it would take to show more."""
    import pandas as pd

    found = []
    for row in board.rows:
        if row.difference is None or row.verdict == "null" or not least.enough(board.questions):
            continue
        spread, alpha = spread_of(board, row), 1 - row.difference.level
        smallest = detectable(spread, alpha, result.options.power)
        cells: dict[str, Any] = {
            "method": row.method,
            "alpha": alpha,
            "questions": board.questions,
            "detectable": None if smallest is None else smallest * board.scale,
        }
        for points in _points(result):
            take = needed(spread, points / board.scale, alpha, result.options.power)
            cells[f"questions_for_{points:g}"] = take.questions
            cells[f"seeds_for_{points:g}"] = take.seeds
        found.append(cells)
    return pd.DataFrame(found).dropna(axis=1, how="all")


def flat_rows(result: Leaderboard) -> list[dict[str, Any]]:
    """Everything that is known of every row, in the unit of the metric times ``scale``."""
    return [_flat(board, row) for board in result.boards for row in board.rows]


def costs_of(row: Row) -> dict[str, Any]:
    """A row's costs, in the units of :data:`COST_MEANINGS`."""
    cost = row.cost
    return {
        "samples": cost.samples,
        "tokens": cost.tokens,
        "extra_passes_percent": None if cost.extra_share is None else 100 * cost.extra_share,
        "extra_passes_a_token": cost.extra_a_token,
        "accepted_percent": None if cost.accepted_share is None else 100 * cost.accepted_share,
        "layers_without": cost.layers_without,
        "compute": cost.compute,
        "tokens_per_second": cost.tokens_per_second,
        "speed": cost.speed,
        "time": cost.time,
        "peak_mib": None if cost.peak_bytes is None else cost.peak_bytes / 2**20,
        "edits": cost.edits,
        "edit_change": cost.edit_change,
        "edit_row": cost.edit_row,
    }


def _points(result: Leaderboard) -> list[float]:
    return sorted({*POINTS, result.options.detect})


def _shown(board: Board, row: Row) -> dict[str, Any]:
    difference, scale = row.difference, board.scale
    return {
        "rank": rank_text(row),
        "method": row.method,
        "role": row.role,
        **bounded("score", row.score, board, 0.0),
        **bounded("difference", difference, board, -1.0),
        "p_corrected": difference.p_corrected if difference else None,
        "null": scale * board.null if difference and board.null is not None else None,
        "compute": row.cost.compute,
        "seeds": row.seeds.seeds if row.seeds else None,
        "seed_sd": scale * row.seeds.sd if row.seeds else None,
        "seed_lowest": scale * row.seeds.low if row.seeds else None,
        "seed_highest": scale * row.seeds.high if row.seeds else None,
        "published": row.published,
        **row.gains,
        "verdict": verdict_text(board, row),
    }


def bounded(name: str, found: Estimate | Difference | None, board: Board, lowest: float) -> Cells:
    """Value and interval; of shares of 1 an interval ends where the figure can't go on."""
    if found is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    low, high = found.low, found.high
    if board.percent:
        low, high = max(low, lowest), min(high, 1.0)
    values = (board.scale * x for x in (found.value, low, high))
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _flat(board: Board, row: Row) -> dict[str, Any]:
    difference, scale = row.difference, board.scale
    more = {
        "p": difference and difference.p,
        "p_corrected": difference and difference.p_corrected,
        "test": difference and difference.test,
        "corrected_level": difference and difference.level,
        "pointwise_low": difference and scale * difference.pointwise_low,
        "pointwise_high": difference and scale * difference.pointwise_high,
    }
    return {
        "model": board.model,
        "task": board.task,
        **_shown(board, row),
        "rank": row.rank,
        "tied": row.tied,
        **more,
        "outcome": row.verdict,
        "unpaired": row.unpaired,
        "metric": board.metric,
        "unit": "percent" if board.percent else "metric",
        "questions": row.score.questions if row.unpaired and row.score else board.questions,
        "seconds": row.cost.seconds,
        **costs_of(row),
        "errors": "; ".join(row.errors),
    }
