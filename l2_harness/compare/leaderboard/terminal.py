"""A leaderboard on the terminal, readable at 100 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.compare.leaderboard.frames import costs_of
from l2_harness.compare.leaderboard.table import Board, Leaderboard, Row
from l2_harness.compare.leaderboard.words import (
    board_findings,
    difference_text,
    number,
    p_text,
    rank_text,
    score_text,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Boards of single tasks that are shown below their average.
_MOST_TASKS = 8
#: Costs on the terminal: name of the column, the cost, how it is written.
_COSTS = (
    ("samples", "samples", "{:.0f}"),
    ("tokens", "tokens", "{:,.0f}"),
    ("extra passes %", "extra_passes_percent", "{:.1f}"),
    ("extra a token", "extra_passes_a_token", "{:.2f}"),
    ("compute ×", "compute", "{:.2f}"),
    ("tokens/s", "tokens_per_second", "{:.0f}"),
    ("speed ×", "speed", "{:.2f}"),
    ("MiB", "peak_mib", "{:,.0f}"),
)


def print_leaderboard(
    result: Leaderboard, console: Console, *, costs: bool = True, tasks: bool | None = None
) -> None:
    """Every board with what it shows, and what its methods took.

    Args:
        result: to be shown.
        console: where.
        costs: also what the methods took.
        tasks: also the single tasks, where there is an average of them; None for few tasks only.
    """
    from rich.markup import escape

    averaged = {board.model for board in result.boards if board.tasks}
    single = [b for b in result.boards if not b.tasks and b.model in averaged]
    hidden = single if tasks is False or (tasks is None and len(single) > _MOST_TASKS) else []
    for board in result.boards:
        if board in hidden:
            continue
        console.print()
        console.print(_board_table(board), highlight=False)
        for sentence in board_findings(board, result.options):
            console.print(f"  {escape(sentence)}", highlight=False)
        if costs and _costs_differ(board):
            console.print(_cost_table(board), highlight=False)
    for note in result.notes:
        console.print(f"\n{escape(note)}", highlight=False)
    if hidden:
        console.print(f"\n{len(hidden)} boards of single tasks are in the files.")


def _board_table(board: Board) -> Table:
    from rich.markup import escape

    unit = "%" if board.percent else ""
    arrow = "" if board.higher_is_better else ", less is better"
    table = _table(f"{escape(board.title)}: {board.size}, {escape(board.metric)}")
    table.caption = _caption(board)
    table.add_column("#", no_wrap=True)
    table.add_column("method", max_width=25, overflow="fold")
    table.add_column(f"score {unit}{arrow}".strip(), justify="right")
    table.add_column("− plain", justify="right", no_wrap=True, min_width=19)
    if board.null is not None:
        table.add_column("null", justify="right")
    table.add_column("p", justify="right")
    if any(row.seeds for row in board.rows):
        table.add_column("sd (seeds)", justify="right", max_width=7)
    if any(row.published is not None for row in board.rows):
        table.add_column("pub.", justify="right")
    table.add_column("verdict", max_width=12)
    for row in board.rows:
        table.add_row(*(escape(cell) for cell in _cells(board, row)), style=_style(row))
    return table


def _cells(board: Board, row: Row) -> list[str]:
    difference = row.difference
    cells = [rank_text(row), row.method, score_text(board, row.score)]
    cells.append(difference_text(board, difference))
    if board.null is not None:
        tested = difference is not None and row.verdict != "null"
        cells.append(f"±{number(board.scale * board.null)}" if tested else "")
    cells.append(p_text(difference.p_holm) if difference and row.verdict != "null" else "")
    if any(other.seeds for other in board.rows):
        seeds = row.seeds
        cells.append(f"{number(board.scale * seeds.sd)} ({seeds.seeds})" if seeds else "")
    if any(other.published is not None for other in board.rows):
        cells.append("" if row.published is None else number(row.published))
    cells.append("unpaired" if row.unpaired else row.verdict)
    return cells


def _caption(board: Board) -> str:
    words = ["Intervals 95 %. = marks ties."]
    if board.family:
        words[0] = (
            f"Intervals 95 %; differences and p corrected (Holm) for {board.family} "
            f"comparison{'s' if board.family > 1 else ''}. = marks ties."
        )
    if board.null is not None:
        words.append("null: how far plain, run once more, came out from plain.")
    return " ".join(words)


def _costs_differ(board: Board) -> bool:
    """Whether more is known than that all have as many responses to a question."""
    costs = [costs_of(row) for row in board.rows]
    others = any(cost[name] is not None for cost in costs for name in cost if name != "samples")
    return others or len({cost["samples"] for cost in costs} - {None}) > 1


def _cost_table(board: Board) -> Table:
    from rich.markup import escape

    known = [
        (title, name, form)
        for title, name, form in _COSTS
        if any(costs_of(row)[name] is not None for row in board.rows)
    ]
    if any(name == "extra_passes_percent" for _, name, _ in known):
        known = [one for one in known if one[1] != "extra_passes_a_token"]
    table = _table("What it took")
    table.add_column("method", max_width=34, overflow="fold")
    for title, _, _ in known:
        table.add_column(title, justify="right", max_width=12)
    for row in board.rows:
        costs = costs_of(row)
        cells = ["" if costs[name] is None else form.format(costs[name]) for _, name, form in known]
        table.add_row(escape(row.method), *cells, style=_style(row))
    return table


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        box=box.SIMPLE,
        title_justify="left",
        caption_justify="left",
        collapse_padding=True,
        pad_edge=False,
    )


def _style(row: Row) -> str:
    if row.verdict == "failed":
        return "red"
    return "bold" if row.verdict in ("better", "worse") else ""
