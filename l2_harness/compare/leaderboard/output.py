"""A leaderboard's files: Markdown, CSV and JSON, and the sections of the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from l2_harness.compare.leaderboard.findings import leaderboard_findings
from l2_harness.compare.leaderboard.frames import flat_rows
from l2_harness.compare.leaderboard.sections import leaderboard_sections
from l2_harness.compare.leaderboard.table import Board, ClaimRow, Leaderboard
from l2_harness.compare.leaderboard.verdict_section import verdict_of
from l2_harness.findings.csv_files import write_csv
from l2_harness.findings.section import Section, Table, plain, write_section
from l2_harness.findings.table_view import table_view
from l2_harness.whole_files import write_text_atomically

NAMES = ("leaderboard.md", "leaderboard.csv", "leaderboard.json")
VERDICTS = "verdicts.md"


def write_leaderboard(result: Leaderboard, out: Path, *, command: str = "") -> list[Section]:
    """Write everything into ``out``, replacing what an earlier leaderboard left there.

    Args:
        result: to be written.
        out: the folder.
        command: that made it.
    """
    import pandas as pd

    out.mkdir(parents=True, exist_ok=True)
    sections = leaderboard_sections(result, command)
    for section in sections:
        write_section(section, out)
    rows = flat_rows(result)
    write_text_atomically(out / NAMES[0], markdown(result, sections[0]))
    for section in sections:
        if section.name == "verdicts":
            write_text_atomically(out / VERDICTS, _verdicts_markdown(section))
    write_csv(pd.DataFrame(rows), out / NAMES[1])
    content = {
        "command": command,
        "options": sections[0].settings,
        "notes": list(result.notes),
        "boards": [_described(board) for board in result.boards],
        "rows": rows,
    }
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomically(out / NAMES[2], text + "\n")
    return sections


def markdown(result: Leaderboard, section: Section) -> str:
    """Every board of the section ``leaderboard`` as a table with what it shows."""
    parts = ["# Leaderboard", *([f"    {section.command}"] if section.command else [])]
    boards = {board.title: board for board in result.boards}
    for table in section.tables:
        parts += [f"## {_escaped(table.title)}", _escaped(table.caption), _markdown_table(table)]
        parts += [f"- {_escaped(one)}" for one in leaderboard_findings([boards[table.title]])]
    parts += ["## What this does not show", *(f"- {_escaped(one)}" for one in section.caveats)]
    return _joined(parts) + "\n"


def _verdicts_markdown(section: Section) -> str:
    """What became of every claim."""
    parts = ["# Verdicts", *([f"    {section.command}"] if section.command else [])]
    parts += [_escaped(one) for one in section.findings]
    for table in section.tables:
        parts += [f"## {_escaped(table.title)}", _escaped(table.caption), _markdown_table(table)]
    parts += ["## How", *(f"- {_escaped(one)}" for one in section.caveats)]
    return _joined(parts) + "\n"


def _markdown_table(table: Table) -> str:
    view = table_view(table)
    rows = [[column.label for column in view.columns], ["---"] * len(view.columns)]
    rows += [[f"{cell.text} {cell.interval}".strip() for cell in row] for row in view.rows]
    lines = [" | ".join(_escaped(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _described(board: Board) -> dict[str, object]:
    return {
        "model": board.model,
        "task": board.task,
        "tasks": list(board.tasks),
        "metric": board.metric,
        "unit": "percent" if board.percent else "metric",
        "higher_is_better": board.higher_is_better,
        "questions": board.questions,
        "plain": board.plain,
        "null": None if board.null is None else board.scale * board.null,
        "comparisons": board.family,
        "margin": None if board.margin is None else board.scale * board.margin,
        "claims": [_claim(board, row) for row in board.claims],
        "notes": list(board.notes),
    }


def _claim(board: Board, row: ClaimRow) -> dict[str, object]:
    found = row.difference and row.difference.times(board.scale)
    return {
        "says": row.says,
        "method": row.method,
        "over": row.over,
        **(found.columns("difference") if found else {}),
        "p_corrected": found and found.p_corrected,
        "verdict": row.verdict,
        "in_words": verdict_of(board, row),
    }


def _escaped(text: str) -> str:
    """A cell or line that Markdown shows as it is."""
    one_line = " ".join(text.split())
    for sign in ("\\", "|", "<", "*", "_", "`", "[", "$"):
        one_line = one_line.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return one_line


def _joined(parts: Sequence[str]) -> str:
    """A blank line between parts, none between the lines of a list."""
    text = parts[0]
    for before, part in pairwise(parts):
        listed = before.startswith("- ") and part.startswith("- ")
        text += ("\n" if listed else "\n\n") + part
    return text
