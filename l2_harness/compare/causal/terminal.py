"""What the command shows: findings, and the tables that they are from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l2_harness.findings.section import Section, Table

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = {
    "arms": ("accuracy", "difference", "p_corrected", "claimed"),
    "controls": ("less", "difference", "p_corrected", "claimed"),
    "edits": ("edits", "ratio_to_peaks", "left_over", "changed_share", "longer"),
}


def print_section(section: Section, console: Console) -> None:
    """The findings, then the tables in short."""
    for table in section.tables:
        if table.name in _SHOWN:
            console.print(_grid(table, _SHOWN[table.name]))
    for text in section.findings:
        console.print(f"• {text}", highlight=False, markup=False)
    console.print()


def _grid(table: Table, columns: tuple[str, ...]) -> Any:
    from rich.table import Table as Grid

    frame = table.frame
    shown = [c for c in ("task", "arm", *columns) if c in frame]
    grid = Grid(title=table.title)
    for name in shown:
        grid.add_column(name.replace("_", " "), justify="left" if name in _WORDS else "right")
    for _, row in frame.iterrows():
        grid.add_row(*(_cell(row, name) for name in shown))
    return grid


_WORDS = ("task", "arm", "less")


def _cell(row: Any, name: str) -> str:
    import pandas as pd
    from rich.markup import escape

    value = row[name]
    if pd.isna(value):
        return ""
    if isinstance(value, str):
        return escape(value)
    if name == "claimed":
        return "yes" if value else "no"
    if name.startswith("p_"):
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    text = f"{value:.0f}" if float(value).is_integer() and name in _COUNTS else f"{value:.2f}"
    if f"{name}_low" in row and not pd.isna(row[f"{name}_low"]):
        text += f" ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"
    return text


_COUNTS = ("edits", "left_over")
