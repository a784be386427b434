"""Numbers as they are shown, and verdicts in words.

``better`` and ``worse`` are said where the corrected interval leaves out 0, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from l2_harness.compare.leaderboard.options import Options
from l2_harness.compare.leaderboard.table import Board, Row
from l2_harness.statistics.estimate import Estimate
from l2_harness.statistics.paired import Difference
from l2_harness.statistics.power import MOST, Spread, needed


def score_text(board: Board, score: Estimate | None) -> str:
    """``67.4 (63.3–71.2)``; empty without a score."""
    if score is None:
        return ""
    value = number(board.scale * score.value)
    if not score.known:
        return value
    return f"{value} ({number(board.scale * score.low)}–{number(board.scale * score.high)})"


def difference_text(board: Board, difference: Difference | None) -> str:
    """``+1.2 (−0.4, +2.8)``, the interval being the corrected one; empty without one."""
    if difference is None:
        return ""
    return f"{_signed(board, difference.value)} ({_ends(board, difference, ', ')})"


def rank_text(row: Row) -> str:
    """``2=`` for a shared second place; a dash for what isn't ranked."""
    return "–" if row.rank is None else f"{row.rank}{'=' if row.tied else ''}"


def p_text(p: float) -> str:
    """Three places, and never 0."""
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def number(value: float) -> str:
    """One place for what that leaves something of, two figures below."""
    if not math.isfinite(value):
        return "?"
    # Sums of the same numbers in another order differ in their last bit.
    return f"{value:.1f}" if abs(value) >= 0.05 or abs(value) < 1e-9 else f"{value:.2g}"


def signed(value: float) -> str:
    """With its sign, a true minus; 0 has none."""
    if not math.isfinite(value):
        return "?"
    if abs(value) < 1e-9:
        return "0.0"
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"


def verdict_text(board: Board, row: Row, options: Options) -> str:
    """A row's verdict, a sentence without its end."""
    runs = "1 run" if len(row.errors) == 1 else f"{len(row.errors)} runs"
    seeds = f" ({runs} failed: {row.errors[0]})" if row.errors else ""
    return _verdict(board, row, options) + (seeds if row.verdict != "failed" else "")


def _verdict(board: Board, row: Row, options: Options) -> str:
    if row.verdict == "failed":
        return f"failed: {row.errors[0] if row.errors else 'no scores'}"
    if row.verdict == "plain":
        return "what all are compared with"
    if row.reason:
        return f"not compared: {row.reason}"
    if row.unpaired:
        return "not compared: its questions' scores aren't known, only the figure for all of them"
    if row.difference is None:
        return f"not compared: {board.reason}"
    interval = _ends(board, row.difference, " to ")
    if row.verdict == "null":
        gap = f"{_signed(board, row.difference.value)} {board.unit} ({interval})"
        return f"{board.plain} once more: {gap} without any change of method"
    if row.verdict == "not shown":
        return f"no difference shown ({interval}){power_text(board, row, options)}"
    size = number(abs(board.scale * row.difference.value))
    words = f"{row.verdict} than {board.plain} by {size} {board.unit} ({interval})"
    if board.null is not None:
        words += f"; the null moves {number(board.scale * board.null)}"
        if board.null >= abs(row.difference.value):
            words += ", as much or more"
    return words


def power_text(board: Board, row: Row, options: Options) -> str:
    """What it would need to see the difference that matters; empty where there is enough."""
    if not board.percent or row.difference is None:
        return ""
    points = options.detect
    if max(abs(row.difference.low), abs(row.difference.high)) * board.scale < points:
        return f": less than {points:g} points either way"
    alpha = 1 - row.difference.level
    take = needed(spread_of(board, row), points / board.scale, alpha, options.power)
    if take.questions is None:
        return f"; more than a million questions would be needed to tell {points:g} points"
    if take.questions <= board.questions:
        return ""
    seeds = ""
    if take.seeds is not None and math.isfinite(take.seeds):
        seeds = f", or {int(take.seeds)} seeds"
    return f"; needs about {round_up(take.questions):,} questions{seeds} to tell {points:g} points"


def spread_of(board: Board, row: Row) -> Spread:
    """What a row's power is computed from."""
    assert row.difference is not None
    plain = next((other for other in board.rows if other.method == board.plain), None)
    within, seeds = None, 1
    if row.seeds is not None and plain is not None and plain.seeds is not None:
        within = row.seeds.within / row.seeds.seeds + plain.seeds.within / plain.seeds.seeds
        seeds = min(row.seeds.seeds, plain.seeds.seeds)
    return Spread.of(row.difference, board.questions, within, seeds)


def round_up(count: float) -> int:
    """Two figures: it is an estimate."""
    step = 10 ** max(int(math.log10(max(count, 1))) - 1, 0)
    return int(math.ceil(count / step) * step)


def _signed(board: Board, value: float) -> str:
    return signed(board.scale * value)


def _ends(board: Board, difference: Difference, between: str) -> str:
    if not math.isfinite(difference.low):
        return "no interval"
    return f"{_signed(board, difference.low)}{between}{_signed(board, difference.high)}"


def board_findings(board: Board, options: Options) -> list[str]:
    """What a board shows, a paragraph an entry: how many differ from plain first, then which."""
    groups: dict[str, list[Row]] = {}
    for row in board.rows:
        told_apart = row.unpaired or row.reason
        groups.setdefault("unpaired" if told_apart else row.verdict, []).append(row)
    found = [_headline(board, groups)]
    found += [
        f"{verdict.capitalize()} than {board.plain}, in {board.unit or board.metric}: "
        f"{_listed(board, groups[verdict])}."
        for verdict in ("better", "worse")
        if verdict in groups
    ]
    if "not shown" in groups:
        found.append(_not_shown(board, groups["not shown"], options))
    found += [
        f"{row.method}: {verdict_text(board, row, options)}." for row in groups.get("null", [])
    ]
    for verdict in ("failed", "unpaired"):
        rows = groups.get(verdict, [])
        found += [f"{row.method}: {verdict_text(board, row, options)}." for row in rows]
    return found + list(board.notes)


def _headline(board: Board, groups: Mapping[str, Sequence[Row]]) -> str:
    start = f"{board.title}, {board.size}"
    if board.plain is None:
        return f"{start}: {board.reason}, so no difference is tested."
    better, worse, open_ = (len(groups.get(name, ())) for name in ("better", "worse", "not shown"))
    compared = better + worse + open_
    if not compared:
        return f"{start}: nothing is compared with {board.plain}."
    many = "1 method" if compared == 1 else f"{compared} methods"
    return (
        f"{start}: of {many} compared with {board.plain}, {better or 'none'} "
        f"{'is' if better < 2 else 'are'} better, {worse or 'none'} {'is' if worse < 2 else 'are'} "
        f"worse, and of {open_ or 'none'} no difference is shown (corrected for their number)."
    )


def _listed(board: Board, rows: Sequence[Row]) -> str:
    """Methods with how far they are from plain."""
    told = []
    for row in rows:
        assert row.difference is not None
        within = board.null is not None and board.null >= abs(row.difference.value)
        size = number(abs(board.scale * row.difference.value))
        flag = ", no more than plain once more" if within else ""
        told.append(f"{row.method} by {size} ({_ends(board, row.difference, ' to ')}{flag})")
    return ", ".join(told)


def _not_shown(board: Board, rows: Sequence[Row], options: Options) -> str:
    names = ", ".join(row.method for row in rows)
    words = f"No difference to {board.plain} is shown of {names}."
    if not board.percent:
        return words
    takes = []
    for row in rows:
        assert row.difference is not None
        take = needed(
            spread_of(board, row),
            options.detect / board.scale,
            1 - row.difference.level,
            options.power,
        )
        takes.append(take.questions or MOST)
    if max(takes) <= board.questions:
        return words
    low, high = f"{round_up(min(takes)):,}", f"{round_up(max(takes)):,}"
    many = low if low == high else f"{low} to {high}"
    return (
        f"{words} To tell a difference of {options.detect:g} points with a chance of "
        f"{options.power:.0%}, about {many} questions would be needed; here: {board.size}."
    )
