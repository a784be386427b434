"""Verdicts as a section: what became of every claim, and of every comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from l2_harness.compare.leaderboard.frames import bounded
from l2_harness.compare.leaderboard.table import Board, ClaimRow, Leaderboard
from l2_harness.findings import least
from l2_harness.findings.section import Section, Table
from l2_harness.findings.verdicts import claim_words, rule
from l2_harness.findings.words import count, listed

if TYPE_CHECKING:
    import pandas as pd

MEANINGS = {
    "claim": "that the first of the two is better than the other",
    "difference": "of the two, points; Tango's interval, corrected for all comparisons",
    "p_corrected": "two-sided, corrected for all comparisons",
    "changed": "states that the method changed in a run; none: it never acted",
    "null": "largest distance of plain, run once more, from plain",
    "verdict": "on the claim",
}
#: Claims that a sentence names; the table has all.
_NAMED = 3
_BRIEF = ("claim", "method", "over", "difference", "verdict")
_CAVEATS = (
    "A claim that fails here fails for this model, these tasks and these settings.",
    "Not decided means that more questions are needed; it is not evidence of no difference.",
    "No interval here stays valid when it is looked at again and again: the number of questions "
    "is fixed beforehand.",
)


def verdict_section(result: Leaderboard, command: str) -> Section | None:
    """None where nothing was claimed."""
    boards = [board for board in result.boards if board.claims]
    if result.decision is None or not boards:
        return None
    decision, level = result.decision, result.options.level
    return Section(
        name="verdicts",
        title="Verdicts",
        order=4,
        findings=[_finding(board) for board in boards][:3],
        caveats=[rule(decision.margin, level, boards[0].family), *result.notes, *_CAVEATS],
        settings={"margin": decision.margin, "level": level},
        command=command,
        tables=[_table(board, number) for number, board in enumerate(boards)],
    )


def verdict_of(board: Board, row: ClaimRow) -> str:
    """On a claim, in words."""
    return claim_words(row.verdict, row.changed, enough=least.enough(board.questions))


def _finding(board: Board) -> str:
    """``m, t: of 5 claims 1 holds (…), 2 fail (…) and 2 are not decided (…)``."""
    kinds = {"holds": ("holds", "hold"), "fails": ("fails", "fail")}
    kinds |= {"not tried": ("was not tried", "were not tried")}
    kinds |= {"not decided": ("is not decided", "are not decided")}
    parts = []
    for kind, (one, several) in kinds.items():
        rows = [row for row in board.claims if verdict_of(board, row).startswith(kind)]
        if rows:
            pairs = listed((f"{row.method} over {row.over}" for row in rows), _NAMED)
            parts.append(f"{len(rows)} {one if len(rows) == 1 else several} ({pairs})")
    return f"{board.title}: of {count(len(board.claims), 'claim')} {listed(parts)}."


def _table(board: Board, number: int) -> Table:
    caption = (
        f"{board.size}, {board.metric}. Verdicts by the rule that was fixed beforehand, corrected "
        f"for {count(board.family, 'comparison')}."
    )
    frame = _frame(board)
    own = {name: text for name, text in MEANINGS.items() if name in frame}
    return Table(f"verdicts_{number + 1}", board.title, frame, caption, own, _BRIEF)


def _frame(board: Board) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame([_cells(board, row) for row in board.claims])
    frame = least.kept(frame, board.questions, ("difference",), values=False)
    kept: Sequence[str] = [
        c for c in frame if c in ("difference", *_BRIEF) or frame[c].notna().any()
    ]
    return frame[kept]


def _cells(board: Board, row: ClaimRow) -> dict[str, object]:
    return {
        "claim": row.says,
        "method": row.method,
        "over": row.over,
        **bounded("difference", row.difference, board, -1.0),
        "p_corrected": row.difference.p_corrected if row.difference else None,
        "null": None if board.null is None else board.scale * board.null,
        "changed": row.changed,
        "verdict": verdict_of(board, row),
    }
