"""A leaderboard as sections of a report: leaderboard, costs, curves, power."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.compare.leaderboard import figures
from l2_harness.compare.leaderboard.findings import (
    board_notes,
    leaderboard_findings,
    main_boards,
    power_finding,
)
from l2_harness.compare.leaderboard.frames import (
    COST_MEANINGS,
    LEADERBOARD_MEANINGS,
    cost_frame,
    leaderboard_frame,
    power_frame,
)
from l2_harness.compare.leaderboard.table import Board, Leaderboard
from l2_harness.compare.leaderboard.verdict_section import verdict_section
from l2_harness.findings.numbers import fixed
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.terminal import MOST_ROWS
from l2_harness.findings.words import count, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

#: Sentences of a section.
MOST = 3
#: Columns on the terminal.
BRIEF = ("rank", "method", "score", "difference", "null", "p_corrected", "compute", "verdict")
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
        verdict_section(result, command),
        _costs(result, command),
        _curves(result, command),
        _power(result, command),
    ]
    return [section for section in found if section is not None]


def _leaderboard(result: Leaderboard, command: str) -> Section:
    return _section(
        *(result, command, "leaderboard", "Leaderboard", 5),
        findings=leaderboard_findings(main_boards(result.boards)),
        caveats=[*board_notes(result), *CAVEATS],
        tables=_tables(result, leaderboard_frame, _caption, LEADERBOARD_MEANINGS, _brief(result)),
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
    return _section(
        *(result, command, "costs", "Costs", 6),
        findings=[text for board in main_boards(known) if (text := _frontier_text(board))][:MOST],
        caveats=[
            "The frontier joins the best point figures; neighbours on it may not differ.",
            "Layer passes leave out prompts, which a method's samples share.",
        ],
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
    boards = main_boards(result.boards)
    lines = [(board, line) for board in boards for line in figures.sample_lines(board)]
    return _section(
        *(result, command, "curves", "Score against samples", 7),
        findings=[_curve_text(board, line) for board, line in lines][:MOST],
        caveats=["Points of one line share questions; whether two of them differ is not tested."],
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
        _power_meanings(result),
    )
    if not tables:
        return None
    return _section(
        *(result, command, "power", "What these comparisons can show", 8),
        findings=[_power_text(board, result) for board in main_boards(result.boards)][:MOST],
        caveats=[
            "Computed from the observed share of questions that only one of two methods answers, "
            "or the observed variance of differences: as uncertain as these are.",
            "More questions means more of the same kind, in an average of every task.",
        ],
        tables=tables,
    )


def _section(
    result: Leaderboard, command: str, name: str, title: str, order: int, **parts: Any
) -> Section:
    settings = _settings(result)
    return Section(name=name, title=title, order=order, settings=settings, command=command, **parts)


def _power_meanings(result: Leaderboard) -> dict[str, str]:
    points = sorted({1, 2, 5, result.options.detect})
    many = "; empty above a million"
    seeds = "with the questions at hand; inf where no number would do"
    return {
        "alpha": "two-sided level that the row is tested at, after correction",
        "detectable": "points that would be seen with the chance named in the settings",
        **{f"questions_for_{p:g}": f"to see {p:g} points{many}" for p in points},
        **{f"seeds_for_{p:g}": f"to see {p:g} points {seeds}" for p in points},
    }


def _brief(result: Leaderboard) -> list[Board]:
    """The boards of the terminal, as far as their rows fit."""
    shown: list[Board] = []
    for board in main_boards(result.boards):
        rows = sum(len(one.rows) for one in shown) + len(board.rows)
        if not shown or rows <= MOST_ROWS:
            shown.append(board)
    return shown


def _caption(board: Board) -> str:
    less = "" if board.higher_is_better else ", less is better"
    words = f"{board.size}, {board.metric}{less}. "
    nulls = sum(row.verdict == "null" and row.difference is not None for row in board.rows)
    if board.plain is not None and not board.family and nulls:
        return words + (
            f"Differences of {count(nulls, 'null run')} to {board.plain}, each with an interval of "
            "its own: nothing is corrected."
        )
    if board.plain is None or not board.family:
        return f"{words}Not compared: {board.reason or 'there is one row only'}."
    return words + (
        f"Differences are to {board.plain}, corrected for {count(board.family, 'comparison')}. A "
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
    best = [rows[i].method for i in figures.frontier_rows(board, rows, points)]
    return f"{board.title}, {title}: none is better at no more cost than {listed(best)}."


def _curve_text(board: Board, line: figures.SampleLine) -> str:
    told = [
        f"{fixed(board.scale * row.score.value, 1)} with {count(n, 'sample')}"
        for n, row in line.rows.items()
        if row.score is not None
    ]
    return f"{board.title}, {line.name}: {listed(told)}."


def _power_text(board: Board, result: Leaderboard) -> str:
    frame = power_frame(board, result) if board.percent else None
    if frame is None or "detectable" not in frame:
        return f"{board.title}: which differences would be shown isn't known."
    return power_finding(board, list(frame["detectable"].dropna()), result.options)


def _tables(
    result: Leaderboard,
    frame: Callable[[Board], pd.DataFrame | None],
    caption: Callable[[Board], str],
    meanings: Mapping[str, str],
    brief: Sequence[Board] = (),
) -> list[Table]:
    tables: list[Table] = []
    taken: set[str] = set()
    for board in result.boards:
        made = frame(board)
        if made is None or made.empty or len(made.columns) < 2:
            continue
        own = {name: text for name, text in meanings.items() if name in made}
        columns = BRIEF if board in brief else ()
        name = _file_name(board, taken)
        tables.append(Table(name, board.title, made, caption(board), own, columns))
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
