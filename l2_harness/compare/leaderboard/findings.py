"""What boards say: how many methods differ from plain and which, verdicts, and their power."""

from __future__ import annotations

from collections.abc import Sequence

from l2_harness.compare.leaderboard.options import Options
from l2_harness.compare.leaderboard.table import Board, Leaderboard, Row
from l2_harness.findings import least
from l2_harness.findings.numbers import fixed
from l2_harness.findings.words import capital, count, estimate, listed, span
from l2_harness.statistics.power import Spread

#: Methods that a sentence names; the tables have all.
_NAMED = 3
_COMPARED = ("better", "worse", "equivalent", "abstain", "not shown")


def main_boards(boards: Sequence[Board]) -> list[Board]:
    """A model's average in place of its tasks, where it has one."""
    averaged = {board.model for board in boards if board.tasks}
    return [board for board in boards if board.tasks or board.model not in averaged]


def leaderboard_findings(boards: Sequence[Board]) -> list[str]:
    """How many comparisons with plain come out better and worse, then which."""
    rows = [
        (board, row)
        for board in boards
        for row in board.rows
        if row.verdict in _COMPARED and not row.reason
    ]
    if not rows:
        moved = [
            board.scale * row.difference.value
            for board in boards
            for row in board.rows
            if row.verdict == "null" and row.difference is not None
        ]
        return [
            f"Plain once more, in {count(len(moved), 'run')}, moves by {span(moved, 1)} "
            f"{boards[0].unit}".rstrip()
            + "."
            if moved
            else "Nothing is compared with a plain run."
        ]
    tested = [(board, row) for board, row in rows if least.enough(board.questions)]
    if not tested:
        most = max(board.questions for board, _ in rows)
        return [f"No difference from plain is shown: {least.reason(most)}."]
    of = {name: [one for one in tested if one[1].verdict == name] for name in ("better", "worse")}
    better, worse = (len(found) for found in of.values())
    found = [
        f"After correction {better or 'none'} of {count(len(tested), 'comparison')} with plain "
        f"{'is' if better < 2 else 'are'} better, and {worse or 'none'} worse."
    ]
    for verdict, some in of.items():
        if some:
            found.append(f"{capital(verdict)}: {listed((_told(*one) for one in some), _NAMED)}.")
    return found


def _told(board: Board, row: Row) -> str:
    """``lrs8 by −3.1 points (−5.0 to −1.2) on m, t``."""
    assert row.difference is not None
    text = estimate(row.difference, board.scale, 1, unit=board.unit, sign=True)
    again = board.null is not None and board.null >= abs(row.difference.value)
    flag = ", no more than plain once more" if again else ""
    return f"{row.method} by {text} on {board.title}{flag}"


def verdict_text(board: Board, row: Row) -> str:
    """A row's verdict in a word or two, with what went wrong."""
    if row.verdict == "failed":
        return f"failed: {row.errors[0] if row.errors else 'no scores'}"
    said: str = row.verdict
    if row.reason:
        said = f"not compared: {row.reason}"
    elif row.unpaired:
        said = "not compared: its questions' scores aren't known"
    elif board.plain is None and row.difference is None:
        said = f"not compared: {board.reason}"
    elif row.verdict in _COMPARED and not least.enough(board.questions):
        said = "too few questions"
    if row.errors:
        said += f" ({count(len(row.errors), 'run')} failed: {row.errors[0]})"
    return said


def rank_text(row: Row) -> str:
    """``2=`` for a shared second place; a dash for what isn't ranked."""
    return "–" if row.rank is None else f"{row.rank}{'=' if row.tied else ''}"


def power_finding(board: Board, smallest: Sequence[float], options: Options) -> str:
    """Which differences the questions at hand would show."""
    ends = sorted({fixed(end, 1) for end in (min(smallest), max(smallest))}, key=float)
    return (
        f"{board.title}: with {board.size}, a difference of {' to '.join(ends)} points would be "
        f"shown with a chance of {fixed(100 * options.power, 0)} %."
    )


def spread_of(board: Board, row: Row) -> Spread:
    """What a row's power is computed from."""
    assert row.difference is not None
    plain = next((other for other in board.rows if other.method == board.plain), None)
    within, seeds = None, 1
    if row.seeds is not None and plain is not None and plain.seeds is not None:
        within = row.seeds.within / row.seeds.seeds + plain.seeds.within / plain.seeds.seeds
        seeds = min(row.seeds.seeds, plain.seeds.seeds)
    return Spread.of(row.difference, board.questions, within, seeds)


def board_notes(result: Leaderboard) -> list[str]:
    """What a reader has to know, once, with the boards that it is of."""
    of: dict[str, list[str]] = {}
    for board in result.boards:
        for note in board.notes:
            of.setdefault(note, []).append(board.title)
    several = len(result.boards) > 1
    told = [f"{listed(on, _NAMED)}: {note}" if several else note for note, on in of.items()]
    return [*result.notes, *told]
