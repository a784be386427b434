"""What a command prints of its sections: at most a screen, and where the rest lies."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from l2_harness.findings.section import Section, Table
from l2_harness.findings.table_view import Column, table_view
from l2_harness.findings.words import count
from l2_harness.printable_text import printable

if TYPE_CHECKING:
    from rich.console import Console

#: Rows of a table on the terminal; the file has them all.
MOST_ROWS = 30
#: Where no terminal says how wide it is.
_WIDTH = 100


def console(width: int = _WIDTH) -> Console:
    """Standard output; ``width`` is that of a file."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(width=width, highlight=False)


def show(
    sections: Sequence[Section],
    out: Path,
    files: Sequence[str] = (),
    to: Console | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Each section's title, the tables that it names columns of, and its findings.

    Args:
        sections: written below ``out``.
        out: the folder.
        files: others that were written there.
        to: where; standard output by default.
        notes: what belongs to no section.
    """
    to = to or console()
    for section in sections:
        to.print(printable(section.title), style="bold", markup=False)
        for table in section.tables:
            if table.brief:
                print_table(table, to)
        for finding in section.findings:
            to.print(printable(f"• {finding}"), markup=False)
    for note in notes:
        to.print(printable(note), markup=False)
    names = ", ".join([*(f"{section.name}/" for section in sections), *files])
    report = shlex.join(["l2-harness", "report", str(out)])
    for line in (f"In {out}: {names}", f"See tables and figures with: {report}"):
        to.print(printable(line), markup=False, soft_wrap=True)


def print_table(table: Table, to: Console) -> None:
    """Its columns for a terminal, and so many rows."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as Grid

    view = table_view(table, MOST_ROWS)
    columns = [column for column in view.columns if column.name in table.brief]
    grid = Grid(
        title=escape(printable(table.title)),
        box=box.SIMPLE,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        side = "right" if column.numeric else "left"
        grid.add_column(escape(printable(column.label)), justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in zip(*(_texts(column) for column in columns), strict=True):
        grid.add_row(*row)
    if view.total > MOST_ROWS:
        grid.caption = f"{count(view.total - MOST_ROWS, 'more row')} in {table.name}.csv"
    to.print(grid)


def _texts(column: Column) -> list[str]:
    from rich.markup import escape

    return [escape(printable(f"{cell.text} {cell.interval}".strip())) for cell in column.cells]
