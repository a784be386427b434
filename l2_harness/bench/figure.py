"""A measured figure beside its goal, and how figures are shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from l2_harness.bench.goals import goal
from l2_harness.bench.rounds import Ratio


@dataclass(frozen=True)
class Figure:
    """One number that a benchmark gave; the smaller the better.

    Attributes:
        benchmark, name: which.
        value: measured; NaN where it could not be.
        low, high: quartiles of the rounds or a 95 % interval; None for a single measurement.
        goal: the most that it may be; None where it is only reported.
        note: what else is to be known of it.
    """

    benchmark: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    goal: float | None = None
    note: str = ""

    @classmethod
    def of(
        cls,
        benchmark: str,
        name: str,
        value: float | Ratio,
        *,
        again: float = 0.0,
        work: str = "",
        note: str = "",
    ) -> Figure:
        """With the goal of the table.

        Args:
            benchmark: as in the table.
            name: likewise.
            value: measured, or a ratio with its quartiles.
            again: layer calls made again, as a share, of which recursion's goal is made.
            work: on what, where a benchmark gives a figure several times.
            note: what else is to be known of it.
        """
        ratio = value if isinstance(value, Ratio) else None
        return cls(
            benchmark,
            f"{name} ({work})" if work else name,
            value.median if isinstance(value, Ratio) else float(value),
            None if ratio is None else ratio.low,
            None if ratio is None else ratio.high,
            goal(benchmark, name, again),
            note,
        )

    @property
    def met(self) -> bool | None:
        """Whether it keeps to its goal; None where there is none."""
        return None if self.goal is None else self.value <= self.goal

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "met": self.met}

    def text(self) -> str:
        """The value, between its bounds."""
        between = "" if self.low is None else f" ({_short(self.low)} to {_short(self.high)})"
        return _short(self.value) + between


def missed(figures: Iterable[Figure]) -> list[Figure]:
    """Those that are beyond their goals."""
    return [figure for figure in figures if figure.met is False]


def markdown(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    lines = ["| benchmark | figure | measured | goal | met |", "|---|---|---|---|---|"]
    for one in figures:
        limit = "" if one.goal is None else _short(one.goal)
        met = {None: "", True: "yes", False: "**no**"}[one.met]
        name = f"{one.name}; {one.note}" if one.note else one.name
        lines.append(f"| {one.benchmark} | {name} | {one.text()} | {limit} | {met} |")
    return "\n".join(lines) + "\n"


def plain_lines(figures: Sequence[Figure]) -> str:
    """A line a figure, for a terminal."""
    width = max((len(one.name) for one in figures), default=0)
    lines = []
    for one in figures:
        limit = "" if one.goal is None else f"goal {_short(one.goal)}, "
        met = {None: "", True: "met", False: "missed"}[one.met]
        lines.append(f"{one.name:{width}s}  {one.text():28s} {limit}{met}".rstrip())
        lines += [f"    {one.note}"] if one.note else []
    return "\n".join(lines)


def _short(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
