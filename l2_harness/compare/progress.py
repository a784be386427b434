"""What is shown of a suite while it runs: a line a cell, and how long the rest will take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Protocol

from l2_harness.compare.cell_files import CellRecord
from l2_harness.compare.plan import Plan, PlannedCell

_CHOOSING = 0.02


class Progress(Protocol):
    """Is told what happens."""

    def begin(self, plan: Plan) -> None:
        """Cells are about to run."""

    def started(self, planned: PlannedCell, record: CellRecord) -> None:
        """A cell begins."""

    def ended(self, planned: PlannedCell, record: CellRecord) -> None:
        """A cell is done or has failed."""

    def end(self) -> None:
        """No cell is left."""


class Silent:
    """Shows nothing."""

    def begin(self, plan: Plan) -> None:
        """Nothing."""

    def started(self, planned: PlannedCell, record: CellRecord) -> None:
        """Nothing."""

    def ended(self, planned: PlannedCell, record: CellRecord) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Remaining:
    """An estimate of the seconds that the cells to come will take.

    A cell takes as many seconds a response as those of its kind took on the median: of the same
    model and task first, of the same model next, of any at last. Choosing among samples that are
    there, drawing them and answering are three kinds; of one that has not been seen yet, choosing
    is taken to need a fiftieth of what answering does.
    """

    def __init__(self) -> None:
        self._rates: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._documents: dict[str, int] = {}

    def learn(self, planned: PlannedCell, documents: int, seconds: float) -> None:
        """A cell has ended."""
        self._documents[planned.cell.task.name] = documents
        rate = seconds / max(1, documents * planned.cell.num_samples)
        for key in _keys(planned):
            self._rates[key].append(rate)

    def of(self, cells: list[PlannedCell]) -> float | None:
        """Seconds for these cells; None while nothing is known."""
        rates = [self._rate(planned) for planned in cells]
        if not self._documents or None in rates:
            return None
        most = max(self._documents.values())
        return sum(
            (rate or 0.0) * self._documents.get(p.cell.task.name, most) * p.cell.num_samples
            for p, rate in zip(cells, rates, strict=True)
        )

    def _rate(self, planned: PlannedCell) -> float | None:
        """Seconds a response."""
        for key in _keys(planned):
            if key in self._rates:
                return median(self._rates[key])
        others = [rate for key, rates in self._rates.items() if len(key) == 1 for rate in rates]
        if not others:
            return None
        return median(others) * (_CHOOSING if _kind(planned) == "choosing" else 1.0)


def _keys(planned: PlannedCell) -> list[tuple[str, ...]]:
    """What a rate is known for, the nearest first."""
    cell, kind = planned.cell, _kind(planned)
    return [(kind, cell.model.name, cell.task.name), (kind, cell.model.name), (kind,)]


def _kind(planned: PlannedCell) -> str:
    return "drawing" if planned.draws_only else "choosing" if planned.source else "answering"


class Lines:
    """A line when a cell begins and one when it ends, with the time that is left.

    lm-eval's own bar shows what happens in between.

    Args:
        say: prints a line.
    """

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic):
        self._say, self._clock = say, clock
        self._began = self._cell_began = clock()
        self._left: list[PlannedCell] = []
        self._total = 0
        self._remaining = Remaining()

    def begin(self, plan: Plan) -> None:
        """Say how much there is to do."""
        self._left = list(plan.to_run)
        self._total = len(self._left)
        done = sum(planned.finished for planned in plan.cells)
        if done:
            self._say(f"{done} of {len(plan.cells)} cells are done already")

    def started(self, planned: PlannedCell, record: CellRecord) -> None:
        """Say which cell begins."""
        self._cell_began = self._clock()
        number = self._total - len(self._left) + 1
        again = " (goes on)" if record.attempts > 1 else ""
        self._say(f"[{number}/{self._total}] {_label(planned)}{again}")

    def ended(self, planned: PlannedCell, record: CellRecord) -> None:
        """Say how it ended, and what is left."""
        seconds = self._clock() - self._cell_began
        self._left = [p for p in self._left if p is not planned]
        if record.status == "done":
            self._remaining.learn(planned, record.documents or 1, seconds)
            what = f"done in {duration(seconds)}"
        else:
            what = f"FAILED after {duration(seconds)}: {record.error}"
        self._say(f"    {what}; {self._time()}")

    def end(self) -> None:
        """Nothing more to say."""

    def _time(self) -> str:
        elapsed = f"{duration(self._clock() - self._began)} so far"
        if not self._left:
            return elapsed
        left = self._remaining.of(self._left)
        cells = f"{len(self._left)} cell{'s' if len(self._left) > 1 else ''} to go"
        return f"{elapsed}, {cells}" + (f", about {duration(left)}" if left is not None else "")


def _label(planned: PlannedCell) -> str:
    if not planned.draws_only:
        return planned.cell.name
    cell = planned.cell
    return f"{cell.model.name}/{cell.task.name}/seed{cell.seed}: {cell.method.description}"


def duration(seconds: float) -> str:
    """``48 s``, ``3:12 min``, ``2:05 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"
