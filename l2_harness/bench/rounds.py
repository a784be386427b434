"""Timing of rival ways to do one piece of work, so that a ratio means something.

Every round runs each way once, in an order drawn anew: a machine that slows down or speeds up
meets all of them alike. A ratio is taken within its round.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Way = Callable[[], object]
Say = Callable[[str], object]


@dataclass(frozen=True)
class Ratio:
    """Seconds of one way over another's: the median of the rounds and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, times: list[float], rival: list[float]) -> Ratio:
        """From the seconds of each round."""
        ratios = [a / b for a, b in zip(times, rival, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return cls(middle, low, high)


def alternate(
    ways: Mapping[str, Way],
    rounds: int,
    said: Say = lambda text: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every way in every round, after one run of each that does not count.

    Args:
        ways: name → what is timed.
        rounds: how often each is run.
        said: told what is being run.
        clock: wall time; or ``time.process_time``, the CPU's, which other work on the machine
            moves less.
    """
    for name, way in ways.items():
        said(f"{name}: warming up")
        way()
    rng = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds):
        for name in rng.sample(list(ways), len(ways)):
            said(f"{name}: round {round_ + 1} of {rounds}")
            start = clock()
            ways[name]()
            times[name].append(clock() - start)
    return times
