"""Three pictures: differences to plain, accuracy against cost, accuracy against samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from l2_harness.compare.leaderboard.table import Board, Row
from l2_harness.findings import least, panels
from l2_harness.findings.figures import BLUE, GREY, ORANGE, new_grid
from l2_harness.findings.panels import Look
from l2_harness.findings.words import count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels of one figure; further boards are in the tables.
PANELS = 6
_LONGEST_NAME = 34
#: What a cost axis may show: title, and where it comes from; the first that is known of two rows.
_COSTS: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ("layer passes, plain = 1", lambda row: row.cost.compute),
    ("seconds, plain = 1", lambda row: row.cost.time),
    ("response tokens, extra passes not counted", lambda row: row.cost.tokens),
)


def forest(boards: Sequence[Board]) -> Figure | None:
    """Differences to plain with their corrected intervals, a panel a board; None without any."""
    shown = [board for board in boards if _telling(board)][:PANELS]
    if not shown:
        return None
    rows = max(len(_telling(board)) for board in shown)
    figure, axes = _grid("Differences to plain", shown, height=1.6 + 0.32 * rows)
    for panel, board in zip(axes, shown, strict=True):
        _forest_panel(panel, board)
    return figure


def pareto(boards: Sequence[Board]) -> Figure | None:
    """Scores against cost with the frontier, a panel a board; None where costs aren't known."""
    shown = [(board, cost) for board in boards if (cost := known_cost(board)) is not None][:PANELS]
    if not shown:
        return None
    figure, axes = _grid("Score against cost", shown, height=4.6)
    styles = _styles([board for board, _ in shown])
    for panel, (board, cost) in zip(axes, shown, strict=True):
        _pareto_panel(panel, board, *cost, styles)
    panels.legend(figure, axes)
    return figure


def curves(boards: Sequence[Board]) -> Figure | None:
    """Scores against samples to a question, a panel a board; None without two numbers of any."""
    shown = [(board, lines) for board in boards if (lines := sample_lines(board))][:PANELS]
    if not shown:
        return None
    figure, axes = _grid("Score against samples", shown, height=4.2)
    for panel, (board, lines) in zip(axes, shown, strict=True):
        _curve_panel(panel, board, lines)
    panels.legend(figure, axes)
    return figure


def _grid(title: str, shown: Sequence[object], height: float) -> tuple[Figure, list[Axes]]:
    return new_grid(title, len(shown), 2, width=6.5, height=height)


def frontier(points: Sequence[tuple[float, float]], higher_is_better: bool = True) -> list[int]:
    """Which (cost, score) points no other is at least as good as at no more cost, cheapest first.

    Of points with the same cost and score all are on it.
    """
    sign = 1 if higher_is_better else -1
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1]))
    found: list[int] = []
    for i in order:
        best = points[found[-1]] if found else None
        if best is None or sign * points[i][1] > sign * best[1] or points[i] == best:
            found.append(i)
    return found


def frontier_rows(
    board: Board, rows: Sequence[Row], points: Sequence[tuple[float, float]]
) -> list[int]:
    """Which of a board's rows are on the frontier; plain run once more is no method to choose."""
    own = [i for i, row in enumerate(rows) if row.verdict != "null"]
    return [own[i] for i in frontier([points[i] for i in own], board.higher_is_better)]


@dataclass(frozen=True, eq=False)
class SampleLine:
    """Methods that differ in the number of samples only.

    Attributes:
        name: what they share.
        rows: number of samples → row, ascending.
    """

    name: str
    rows: Mapping[int, Row]


def sample_lines(board: Board) -> list[SampleLine]:
    """What of a board can be drawn over the number of samples: two numbers of one method."""
    groups: dict[str, dict[int, Row]] = {}
    names: dict[str, list[str]] = {}
    for row in board.rows:
        args = row.settings.get("args")
        number = args.get("num_samples") if isinstance(args, Mapping) else None
        if row.score is None or number is None or not isinstance(args, Mapping):
            continue
        own = {k: v for k, v in args.items() if k not in ("num_samples", "trace_dir", "seed")}
        key = f"{sorted(map(str, own.items()))} {row.settings.get('gen_kwargs')}"
        groups.setdefault(key, {})[int(number)] = row
        names.setdefault(key, []).append(row.method)
    return [
        SampleLine(_shared_name(names[key]), dict(sorted(rows.items())))
        for key, rows in groups.items()
        if len(rows) > 1
    ]


def _shared_name(names: Sequence[str]) -> str:
    """What all names have, N in the place of what differs; the first name where that is nothing.

    Of names in words the words that all have: `num_samples=4 selection=l2`; else the beginning
    and the end: `best4_l2`.
    """
    words = [word for word in names[0].split() if all(word in name.split() for name in names)]
    if words:
        return " ".join(words)
    start = _beginning(names)
    end = _beginning([name[len(start) :][::-1] for name in names])[::-1]
    return f"{start}N{end}" if start or end else names[0]


def _beginning(texts: Sequence[str]) -> str:
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in same)


def _forest_panel(axes: Axes, board: Board) -> None:
    rows = _telling(board)[::-1]
    if board.null is not None:
        reach = board.scale * board.null
        axes.axvspan(-reach, reach, color=GREY, alpha=0.25, linewidth=0, label="null")
    axes.axvline(0, color=GREY, linewidth=1)
    for place, row in enumerate(rows):
        difference = row.difference
        assert difference is not None
        value, low, high, inner_low, inner_high = (
            board.scale * x
            for x in (
                *(difference.value, difference.low, difference.high),
                *(difference.pointwise_low, difference.pointwise_high),
            )
        )
        color = GREY if row.verdict == "null" else BLUE
        color = ORANGE if row.verdict in ("better", "worse") else color
        axes.plot([low, high], [place, place], color=color, linewidth=1.2)
        axes.plot([inner_low, inner_high], [place, place], color=color, linewidth=3.5, alpha=0.6)
        axes.plot(value, place, "s" if row.verdict == "null" else "o", color=color, markersize=6)
    axes.set_yticks(range(len(rows)), [_short(row.method) for row in rows], fontsize=8)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    less = "" if board.higher_is_better else ", less is better"
    axes.set_xlabel(f"minus {_short(board.plain or 'plain')}, {board.unit}{less}")
    axes.set_title(f"{board.title} ({count(board.questions, 'question')})", fontsize=10)


def _pareto_panel(
    axes: Axes,
    board: Board,
    title: str,
    cost: Callable[[Row], float | None],
    styles: Mapping[str, Look],
) -> None:
    rows = [row for row in board.rows if row.score is not None and cost(row) is not None]
    points = [(float(cost(row) or 0), _value(board, row)) for row in rows]
    for row, (x, y) in zip(rows, points, strict=True):
        low, high = _ends(board, row)
        look, name = styles[row.method], _short(row.method)
        axes.plot([x, x], [low, high], color=look.color, linewidth=1, alpha=0.5)
        axes.plot(x, y, look.marker, color=look.color, markersize=7, label=name, linestyle="")
    costs = [x for x, _ in points]
    best = [points[i] for i in frontier_rows(board, rows, points)]
    if best:
        best.append((max(costs), best[-1][1]))
        axes.step(*zip(*best, strict=True), where="post", color=GREY, linewidth=2.5, alpha=0.6)
    if min(costs) > 0 and max(costs) / min(costs) > 3:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(title)
    axes.set_ylabel("score, %" if board.percent else board.metric)
    axes.set_title(board.title, fontsize=10)


def _curve_panel(axes: Axes, board: Board, lines: Sequence[SampleLine]) -> None:
    plain = next((row for row in board.rows if row.verdict == "plain"), None)
    if plain is not None and plain.score is not None:
        axes.axhspan(*_ends(board, plain), color=GREY, alpha=0.2, linewidth=0)
        label = _short(plain.method)
        axes.axhline(_value(board, plain), color=GREY, linestyle="--", label=label)
    for i, line in enumerate(lines):
        rows = _line_frame(board, line, 1 + 0.02 * i)
        panels.line(axes, rows, "n", "score", panels.look_of(i), _short(line.name), bars=True)
    ticks = sorted({n for line in lines for n in line.rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.set_xlabel("samples to a question")
    axes.set_ylabel("score, %" if board.percent else board.metric)
    axes.set_title(board.title, fontsize=10)


def _line_frame(board: Board, line: SampleLine, apart: float) -> pd.DataFrame:
    """``apart`` keeps bars at one place from hiding each other."""
    import pandas as pd

    cells = [(n * apart, _value(board, row), *_ends(board, row)) for n, row in line.rows.items()]
    return pd.DataFrame(cells, columns=["n", "score", "score_low", "score_high"])


def _styles(boards: Sequence[Board]) -> dict[str, Look]:
    """A method looks the same in every panel."""
    methods = dict.fromkeys(row.method for board in boards for row in board.rows)
    return {method: panels.look_of(i) for i, method in enumerate(methods)}


def known_cost(board: Board) -> tuple[str, Callable[[Row], float | None]] | None:
    """The first cost that is known of the most rows, if of two."""
    scored = [row for row in board.rows if row.score is not None]
    counts = [sum(cost(row) is not None for row in scored) for _, cost in _COSTS]
    most = max(counts)
    return _COSTS[counts.index(most)] if most > 1 else None


def _telling(board: Board) -> list[Row]:
    """The rows whose difference has an interval, of enough questions."""
    known = [row for row in board.rows if row.difference and math.isfinite(row.difference.low)]
    return known if least.enough(board.questions) else []


def _value(board: Board, row: Row) -> float:
    assert row.score is not None
    return board.scale * row.score.value


def _ends(board: Board, row: Row) -> tuple[float, float]:
    score = row.score
    assert score is not None
    if not score.known or not least.enough(board.questions):
        return board.scale * score.value, board.scale * score.value
    return board.scale * score.low, board.scale * score.high


def _short(name: str) -> str:
    """Fit for a tick, and free of matplotlib's own formulas."""
    cut = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return cut.replace("$", r"\$")
