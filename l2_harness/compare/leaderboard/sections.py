"""A leaderboard as sections of a report: leaderboard, costs, curves, power."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.compare.leaderboard import figures
from l2_harness.compare.leaderboard.frames import (
    COST_MEANINGS,
    LEADERBOARD_MEANINGS,
    cost_frame,
    leaderboard_frame,
    power_frame,
)
from l2_harness.compare.leaderboard.table import Board, Leaderboard
from l2_harness.compare.leaderboard.words import board_findings
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

CAVEATS = (
    "An interval that includes 0 shows no difference; it does not show that there is none.",
    "Questions are taken for a sample of more like them. Nothing here is about other tasks.",
    "Scores are averaged over seeds within a question: an interval holds what seeds add to single "
    "questions, not what a seed would do to all questions at once.",
    "Correction is within a model and a task. With many tasks, some verdict on some of them may be "
    "chance; the average over tasks is one family.",
)


def leaderboard_sections(result: Leaderboard, command: str = "") -> list[Section]:
    """Those of which something is known.

    Args:
        result: of :func:`~l2_harness.compare.leaderboard.leaderboard`.
        command: that made it.
    """
    found = [
        _leaderboard(result, command),
        _costs(result, command),
        _curves(result, command),
        _power(result, command),
    ]
    return [section for section in found if section is not None]


def _leaderboard(result: Leaderboard, command: str) -> Section:
    findings = [text for board in result.boards for text in board_findings(board, result.options)]
    return Section(
        name="leaderboard",
        title="Leaderboard",
        order=5,
        findings=[*findings, *result.notes],
        caveats=CAVEATS,
        settings=_settings(result),
        command=command,
        tables=_tables(
            result,
            lambda board: leaderboard_frame(board, result),
            _caption,
            LEADERBOARD_MEANINGS,
        ),
        figures=_figures(
            "differences",
            "Differences to plain",
            "Thin: corrected for all comparisons of the panel; thick: 95 %, uncorrected. Orange "
            "leaves out 0. The grey band is as far as plain, run once more, came out from plain. "
            f"At most {figures.PANELS} panels; all others are in the tables.",
            "Methods' differences to plain with intervals, a panel a task.",
            figures.forest(result.boards),
        ),
    )


def _costs(result: Leaderboard, command: str) -> Section | None:
    known = [board for board in result.boards if any(row.cost.known for row in board.rows)]
    if not known:
        return None
    return Section(
        name="costs",
        title="Costs",
        order=6,
        findings=[text for board in known if (text := _frontier_text(board))],
        caveats=[
            "The frontier joins the best point figures; neighbours on it may not differ.",
            "Layer passes leave out prompts, which a method's samples share.",
        ],
        settings=_settings(result),
        command=command,
        tables=_tables(result, cost_frame, lambda _: "What each method took.", COST_MEANINGS),
        figures=_figures(
            "pareto",
            "Score against cost",
            "Bars: 95 % intervals. The grey line joins methods that no other beats in both.",
            "Scores of methods over what they cost, with the frontier, a panel a task.",
            figures.pareto(result.boards),
        ),
    )


def _curves(result: Leaderboard, command: str) -> Section | None:
    drawing = figures.curves(result.boards)
    if drawing is None:
        return None
    return Section(
        name="curves",
        title="Score against samples",
        order=7,
        findings=[
            text
            for board in result.boards
            for line in figures.sample_lines(board)
            if (text := _curve_text(board, line))
        ],
        caveats=["Points of one line share questions; whether two of them differ is not tested."],
        settings=_settings(result),
        command=command,
        figures=_figures(
            "curves",
            "Score against samples",
            "Bars and band: 95 % intervals. Dashed: plain.",
            "Scores of methods over the number of samples, a panel a task.",
            drawing,
        ),
    )


def _power(result: Leaderboard, command: str) -> Section | None:
    tables = _tables(
        result,
        lambda board: power_frame(board, result) if board.percent else None,
        lambda board: f"With {board.size} at hand, and what it would take.",
        {
            "alpha": "two-sided level that the row is tested at, after correction",
            "detectable": "points that would be seen with the chance named in the settings",
            **{
                f"{what}_for_{points:g}": f"{what} to see {points:g} points{more}"
                for points in (1, 2, 5, result.options.detect)
                for what, more in (
                    ("questions", "; empty above a million"),
                    ("seeds", " with the questions at hand; inf where no number would do"),
                )
            },
        },
    )
    if not tables:
        return None
    return Section(
        name="power",
        title="What these comparisons can show",
        order=8,
        findings=[text for board in result.boards if (text := _power_text(board, result))],
        caveats=[
            "Computed from the observed share of questions that only one of two methods answers, "
            "or the observed variance of differences: as uncertain as these are.",
            "More questions means more of the same kind, in an average of every task.",
        ],
        settings=_settings(result),
        command=command,
        tables=tables,
    )


def _caption(board: Board) -> str:
    words = f"{board.size}, {board.metric}. "
    if board.plain is None or not board.family:
        return words + "Nothing to compare."
    return words + (
        f"Differences are to {board.plain}, corrected (Holm) for {board.family} comparisons. A "
        "place is shared by all that can't be told from the best of it: against plain by the "
        "corrected difference shown, among each other corrected over all other pairs."
    )


def _frontier_text(board: Board) -> str:
    cost = figures.known_cost(board)
    if cost is None:
        return ""
    title, of = cost
    rows = [row for row in board.rows if row.score is not None and of(row) is not None]
    points = [(float(of(row) or 0), row.score.value if row.score else 0.0) for row in rows]
    best = [
        f"{rows[i].method} ({board.scale * points[i][1]:.1f} at {points[i][0]:.3g})"
        for i in figures.frontier_rows(board, rows, points)
    ]
    told = ", ".join(best)
    return (
        f"{board.title}, by {title}: of the methods whose cost is known, none is better at no more "
        f"cost than {told}."
    )


def _curve_text(board: Board, line: figures.SampleLine) -> str:
    told = [
        f"{board.scale * row.score.value:.1f} with {n}"
        for n, row in line.rows.items()
        if row.score is not None
    ]
    return f"{board.title}, {line.name}: {', '.join(told)} samples."


def _power_text(board: Board, result: Leaderboard) -> str:
    if not board.percent:
        return ""
    frame = power_frame(board, result)
    if frame.empty or "detectable" not in frame:
        return ""
    least = frame["detectable"].dropna()
    ends = f"{least.min():.1f}"
    if f"{least.max():.1f}" != ends:
        ends += f" to {least.max():.1f}"
    return (
        f"{board.title}: with {board.size}, differences of {ends} points would be "
        f"seen with a chance of {result.options.power:.0%}, depending on the method."
    )


def _tables(
    result: Leaderboard,
    frame: Callable[[Board], pd.DataFrame | None],
    caption: Callable[[Board], str],
    meanings: Mapping[str, str],
) -> list[Table]:
    tables: list[Table] = []
    taken: set[str] = set()
    for board in result.boards:
        made = frame(board)
        if made is None or made.empty or len(made.columns) < 2:
            continue
        own = {name: text for name, text in meanings.items() if name in made}
        name = _file_name(board, taken)
        tables.append(Table(name, board.title, made, caption(board), own))
    return tables


def _file_name(board: Board, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "_", f"{board.model} {board.task}".lower()).strip("_") or "table"
    name, n = base, 2
    while name in taken:
        name, n = f"{base}_{n}", n + 1
    taken.add(name)
    return name


def _figures(
    name: str, title: str, caption: str, alt: str, drawing: Drawing | None
) -> Sequence[Figure]:
    return [Figure(name, title, caption, alt, drawing)] if drawing is not None else []


def _settings(result: Leaderboard) -> dict[str, Any]:
    options = result.options
    return {
        "level": options.level,
        "resamples": options.resamples,
        "flips": options.flips,
        "seed": options.seed,
        "points that matter": options.detect,
        "power": options.power,
        "methods": {
            row.method: _told(row.settings) for board in result.boards for row in board.rows
        },
    }


def _told(settings: Mapping[str, Any]) -> str:
    """Class, model_args and generation settings of a method, as they are written for lm-eval."""
    args = settings.get("args")
    sampling = settings.get("gen_kwargs")
    parts = [str(settings.get("model_class") or "")]
    for values in (args, sampling):
        if isinstance(values, Mapping) and values:
            parts.append(",".join(f"{name}={value}" for name, value in values.items()))
    return " ".join(part for part in parts if part)
