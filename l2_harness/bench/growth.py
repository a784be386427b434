"""``l2-harness bench growth``: how time and memory grow, with fitted exponents.

An axis is run in a process of its own, from its smallest size to its largest, so that the peak of
memory is that of the size at hand. An exponent is the slope of the logarithm over that of the
size: 1 where twice the work takes twice as much.
"""

from __future__ import annotations

import csv
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.bench.child import apart
from l2_harness.bench.figure import Figure
from l2_harness.bench.growth_axes import AXES
from l2_harness.bench.rounds import Ratio, Say

_POINTS = "growth.csv"
#: Less than this is lost in what a process holds anyway.
_LEAST_BYTES = 4 << 20


@dataclass(frozen=True)
class Point:
    """What one size of an axis took.

    Attributes:
        axis, size: which.
        seconds: CPU time.
        bytes: memory at the peak beyond what the process holds after a run that does not count.
        file_bytes: of trace files that were written or read; 0 where there are none.
        tokens: of responses that were decoded; 0 where none were.
    """

    axis: str
    size: int
    seconds: float
    bytes: int
    file_bytes: int
    tokens: int


@dataclass(frozen=True)
class GrowthCost:
    """The points of some axes."""

    points: list[Point]

    @property
    def figures(self) -> list[Figure]:
        """Exponents of time and memory, and what else an axis tells."""
        found = []
        for name in dict.fromkeys(point.axis for point in self.points):
            own = [point for point in self.points if point.axis == name]
            unit = AXES[name].unit
            note = f"{own[0].size:,} to {own[-1].size:,} {unit}"
            sizes = [point.size for point in own]
            slope = exponent(sizes, [point.seconds for point in own])
            power = "exponent of time" + AXES[name].work
            found.append(Figure.of("growth", power, slope, work=name, note=note))
            held = [(point.size, point.bytes) for point in own if point.bytes > _LEAST_BYTES]
            peak = f"{own[-1].bytes / 2**20:,.0f} MiB at the largest"
            slope = exponent(*zip(*held, strict=True)) if len(held) > 2 else Ratio(0.0, 0.0, 0.0)
            found.append(Figure.of("growth", "exponent of memory", slope, work=name, note=peak))
        return found + self._others()

    def _others(self) -> list[Figure]:
        found = []
        for point in self.points:
            if point.axis == "requests" and point.tokens:
                value = point.file_bytes / point.tokens
                note = f"{point.size} requests, 2 layers"
                found.append(Figure.of("growth", "traces, bytes a token", value, note=note))
        recorded = [point for point in self.points if point.axis == "recorder"]
        if recorded:
            largest = recorded[-1]
            note = f"added by {largest.size:,} responses, {largest.file_bytes / 1e6:,.0f} MB"
            value = largest.bytes / 1e6
            found.append(Figure.of("growth", "recorder, MB", value, note=note))
        return found

    def as_dict(self) -> dict[str, Any]:
        """All points, ready for JSON."""
        return {"points": [asdict(point) for point in self.points]}

    def write(self, folder: Path) -> None:
        """``growth.csv`` with all points, ``exponents.csv`` with the figures, and ``growth.png``.

        Axes that an earlier run measured into the folder, and this one didn't, stay.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = {point.axis for point in self.points}
        earlier = [one for one in _read(folder / _POINTS) if one.axis not in names]
        both = GrowthCost(sorted([*earlier, *self.points], key=_place))
        _write(folder / _POINTS, [asdict(point) for point in both.points])
        _write(folder / "exponents.csv", [figure.as_dict() for figure in both.figures])
        both._plot(folder)

    def _plot(self, folder: Path) -> None:
        from l2_harness.findings.figures import COLORS, MARKERS, new_figure, save_figure

        figure, panels = new_figure("Growth, each over its smallest size", 2)
        names = list(dict.fromkeys(point.axis for point in self.points))
        for panel, what in zip(panels, ("seconds", "bytes"), strict=True):
            for i, name in enumerate(names):
                own = [point for point in self.points if point.axis == name]
                first = max(getattr(own[0], what), _LEAST_BYTES if what == "bytes" else 1e-9)
                sizes = [point.size / own[0].size for point in own]
                values = [max(getattr(point, what) / first, 1e-2) for point in own]
                color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
                panel.plot(sizes, values, label=name, color=color, marker=marker)
            panel.set(xscale="log", yscale="log", xlabel="size", ylabel=what)
            panel.axline((1, 1), (10, 10), color="#999999", linestyle=":")
        panels[0].legend(fontsize=7)
        save_figure(figure, folder / "growth", ("png",))


def _place(point: Point) -> tuple[int, int]:
    return list(AXES).index(point.axis), point.size


def _read(path: Path) -> list[Point]:
    if not path.exists():
        return []
    kinds = {"axis": str, "seconds": float}
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Point(**{name: kinds.get(name, int)(value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> Ratio:
    """The slope of log(value) over log(size), with the 95 % interval of a least-squares line.

    The interval is NaN for two points, through which any line goes.
    """
    from scipy import stats

    x, y = np.log(sizes), np.log(np.maximum(values, 1e-9))
    x, y = x - x.mean(), y - y.mean()
    slope, freedom = float(x @ y / (x @ x)), len(x) - 2
    if not freedom:
        return Ratio(slope, math.nan, math.nan)
    error = math.sqrt(((y - slope * x) ** 2).sum() / freedom / (x @ x))
    half = float(stats.t.ppf(0.975, freedom)) * error
    return Ratio(slope, slope - half, slope + half)


def measure_growth(
    names: Sequence[str], quick: bool, say: Say, up_to: int | None = None
) -> Iterator[GrowthCost]:
    """Run some of :data:`AXES`, each in a new process; one after the other.

    Args:
        names: which.
        quick: small sizes only.
        say: told what is being run.
        up_to: leaves larger sizes out.
    """
    for name in names:
        sizes = [size for size in AXES[name].sizes(quick) if up_to is None or size <= up_to]
        say(f"{name}: {', '.join(map(str, sizes))} {AXES[name].unit}")
        yield GrowthCost(apart(run_axis, name, sizes))


def run_axis(name: str, sizes: Sequence[int]) -> list[Point]:
    """Measure an axis in this process, after one run of its smallest size that does not count."""
    import psutil

    from l2_harness.compare.peak_memory import peak_bytes, start_peak

    points, before = [], 0
    for size in (sizes[0], *sizes):
        with tempfile.TemporaryDirectory() as folder:
            run = AXES[name].prepare(Path(folder), size)
            start_peak()
            start = time.process_time()
            done = run()
            seconds = time.process_time() - start
        added = max((peak_bytes() or 0) - before, 0)
        # libraries are loaded, and what they keep is kept
        before = before or psutil.Process().memory_info().rss
        points.append(Point(name, size, seconds, added, done.file_bytes, done.tokens))
    return points[1:]
