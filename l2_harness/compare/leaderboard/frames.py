"""A leaderboard as tables of plain numbers: percent and points where scores are shares of 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from l2_harness.compare.leaderboard.table import Board, Leaderboard, Row
from l2_harness.compare.leaderboard.words import p_text, rank_text, spread_of, verdict_text
from l2_harness.statistics.power import detectable, needed

if TYPE_CHECKING:
    import pandas as pd

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
    "seeds": "runs with different seeds that the score is the mean of",
    "seed_sd": "standard deviation of single seeds' scores",
    "published": "others' figure, in its source's unit",
}
COST_MEANINGS: Mapping[str, str] = {
    "samples": "responses to a question",
    "tokens": "response tokens of a run, all samples",
    "extra_passes_percent": "layer passes beyond one a token and layer, percent of those",
    "extra_passes_a_token": "layer passes beyond one a token and layer, a token",
    "compute": "layer passes over plain's, prompts not counted",
    "tokens_per_second": "response tokens a second of answering",
    "speed": "tokens a second over plain's",
    "time": "seconds of answering over plain's",
    "peak_mib": "largest memory, MiB",
}


def leaderboard_frame(board: Board, result: Leaderboard) -> pd.DataFrame:
    """A row a method, columns without anything in them left out."""
    import pandas as pd

    rows = [_shown(board, row, result) for row in board.rows]
    return pd.DataFrame(rows).dropna(axis=1, how="all")


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
        if row.difference is None or row.verdict == "null":
            continue
        spread, alpha = spread_of(board, row), 1 - row.difference.level
        least = detectable(spread, alpha, result.options.power)
        cells: dict[str, Any] = {
            "method": row.method,
            "alpha": alpha,
            "questions": board.questions,
            "detectable": None if least is None else least * board.scale,
        }
        for points in _points(result):
            take = needed(spread, points / board.scale, alpha, result.options.power)
            cells[f"questions_for_{points:g}"] = take.questions
            cells[f"seeds_for_{points:g}"] = take.seeds
        found.append(cells)
    return pd.DataFrame(found).dropna(axis=1, how="all")


def flat_rows(result: Leaderboard) -> list[dict[str, Any]]:
    """Everything that is known of every row, in the unit of the metric times ``scale``."""
    return [_flat(board, row, result) for board in result.boards for row in board.rows]


def costs_of(row: Row) -> dict[str, Any]:
    """A row's costs, in the units of :data:`COST_MEANINGS`."""
    cost = row.cost
    return {
        "samples": cost.samples,
        "tokens": cost.tokens,
        "extra_passes_percent": None if cost.extra_share is None else 100 * cost.extra_share,
        "extra_passes_a_token": cost.extra_a_token,
        "compute": cost.compute,
        "tokens_per_second": cost.tokens_per_second,
        "speed": cost.speed,
        "time": cost.time,
        "peak_mib": None if cost.peak_bytes is None else cost.peak_bytes / 2**20,
    }


def _points(result: Leaderboard) -> list[float]:
    return sorted({*POINTS, result.options.detect})


def _shown(board: Board, row: Row, result: Leaderboard) -> dict[str, Any]:
    score, difference, scale = row.score, row.difference, board.scale
    return {
        "rank": rank_text(row),
        "method": row.method,
        "role": row.role,
        "score": score and scale * score.value,
        "score_low": score and scale * score.low,
        "score_high": score and scale * score.high,
        "difference": difference and scale * difference.value,
        "difference_low": difference and scale * difference.low,
        "difference_high": difference and scale * difference.high,
        "p_corrected": p_text(difference.p_corrected) if difference else None,
        "null": scale * board.null if difference and board.null is not None else None,
        "seeds": row.seeds.seeds if row.seeds else None,
        "seed_sd": scale * row.seeds.sd if row.seeds else None,
        "seed_lowest": scale * row.seeds.low if row.seeds else None,
        "seed_highest": scale * row.seeds.high if row.seeds else None,
        "published": row.published,
        "verdict": verdict_text(board, row, result.options),
    }


def _flat(board: Board, row: Row, result: Leaderboard) -> dict[str, Any]:
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
        **_shown(board, row, result),
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
