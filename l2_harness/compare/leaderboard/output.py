"""A leaderboard's files: Markdown, CSV and JSON, and the sections of the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from l2_harness.compare.leaderboard.frames import flat_rows
from l2_harness.compare.leaderboard.sections import CAVEATS, leaderboard_sections
from l2_harness.compare.leaderboard.table import Board, Leaderboard, Row
from l2_harness.compare.leaderboard.words import (
    board_findings,
    difference_text,
    number,
    p_text,
    rank_text,
    score_text,
    verdict_text,
)
from l2_harness.findings.section import Section, plain, write_section

NAMES = ("leaderboard.md", "leaderboard.csv", "leaderboard.json")


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
    (out / NAMES[0]).write_text(markdown(result, command), "utf-8")
    pd.DataFrame(rows).to_csv(out / NAMES[1], index=False)
    content = {
        "command": command,
        "options": sections[0].settings,
        "notes": list(result.notes),
        "boards": [_described(board) for board in result.boards],
        "rows": rows,
    }
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    (out / NAMES[2]).write_text(text + "\n", "utf-8")
    return sections


def markdown(result: Leaderboard, command: str = "") -> str:
    """Every board as a table with what it shows."""
    parts = ["# Leaderboard", *([f"    {command}"] if command else [])]
    for board in result.boards:
        parts.append(f"## {_escaped(board.title)}")
        parts.append(f"{_escaped(board.metric)}, {board.size}.")
        parts.append(_markdown_table(board, result))
        parts += [f"- {_escaped(one)}" for one in board_findings(board, result.options)]
    if result.notes:
        parts += ["## Of all tables", *(f"- {_escaped(one)}" for one in result.notes)]
    parts += ["## What this does not show", *(f"- {one}" for one in CAVEATS)]
    return _joined(parts) + "\n"


def _markdown_table(board: Board, result: Leaderboard) -> str:
    published = any(row.published is not None for row in board.rows)
    unit = " %" if board.percent else ""
    heads = ["#", "method", f"score{unit}", "− plain", "null", "p (Holm)", "seeds: sd (range)"]
    heads += ["published"] if published else []
    heads += ["verdict"]
    lines = [heads, ["---"] * len(heads)]
    for row in board.rows:
        cells = [rank_text(row), row.method, score_text(board, row.score)]
        cells += [difference_text(board, row.difference), _null(board, row)]
        cells += [p_text(row.difference.p_holm) if row.difference else "", _seeds(board, row)]
        if published:
            cells.append("" if row.published is None else number(row.published))
        cells.append(verdict_text(board, row, result.options))
        lines.append([_escaped(cell) for cell in cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _null(board: Board, row: Row) -> str:
    if board.null is None or row.difference is None or row.verdict == "null":
        return ""
    return f"±{number(board.scale * board.null)}"


def _seeds(board: Board, row: Row) -> str:
    if row.seeds is None:
        return ""
    sd, low, high = (number(board.scale * x) for x in (row.seeds.sd, row.seeds.low, row.seeds.high))
    return f"{row.seeds.seeds}: {sd} ({low}–{high})"


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
        "notes": list(board.notes),
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
