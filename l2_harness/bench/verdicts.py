"""Verdicts on made-up suites whose truth is known: how many suites hold a wrong one.

A suite is a plain run, arms that share most of their answers with it, every arm compared with plain
and pairs of arms with each other, all corrected together. Where no arm differs, better or worse is
wrong; where every arm differs from plain by just the margin, equivalent is. Also how often arms
that do not differ are called equivalent, which is what a suite is run for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from l2_harness.bench.coverage_cell import Coverage
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.paired import Paired
from l2_harness.statistics.verdicts import verdict

ARMS, MARGIN = 12, 0.02
#: Of arms with one another, as a suite claims them.
_CLAIMS = ((0, 1), (2, 3), (2, 4), (5, 0), (6, 7), (8, 9))
_PAIRS = [(arm + 1, 0) for arm in range(ARMS)] + [(a + 1, b + 1) for a, b in _CLAIMS]
_FLIPS = 1000
_SAMPLES = 8
#: Share of answers that an arm gives anew.
_ANEW = 0.1


@dataclass(frozen=True)
class Verdicts:
    """What came of suites.

    Attributes:
        wrong: share of them with a verdict that is wrong.
        told: verdict → share of all comparisons.
    """

    wrong: float
    told: dict[str, float]


def verdict_cells(suites: int = 1000) -> Iterator[Coverage]:
    """No difference at few and many questions; the margin at as many as tell it apart."""
    for data, n in (("single answers", 100), ("single answers", 540), ("8 samples", 540)):
        found = simulate(data, n, 0.0, suites)
        yield Coverage("verdicts, none differs", data, n, math.nan, found.wrong, suites)
    for data in ("single answers", "8 samples"):
        found = simulate(data, 4000, MARGIN, suites)
        yield Coverage("verdicts, at the margin", data, 4000, math.nan, found.wrong, suites)


def simulate(data: str, n: int, shift: float, suites: int) -> Verdicts:
    """Suites of one kind.

    Args:
        data: of :data:`SUITES`.
        n: questions.
        shift: what every arm is better by than plain.
        suites: how many.
    """
    rng = np.random.default_rng([n, len(data), int(1000 * shift)])
    wrong = 0
    told: Counter[str] = Counter()
    true = [shift if second == 0 else 0.0 for _, second in _PAIRS]
    for _ in range(suites):
        scores = SUITES[data](rng, n, shift)
        seed = int(rng.integers(2**31))
        found = Paired(scores, Design.of(n), flips=_FLIPS, seed=seed).differences(_PAIRS)
        verdicts = [verdict(one, MARGIN) for one in found]
        told.update(verdicts)
        wrong += any(map(_is_wrong, verdicts, true))
    whole = suites * len(_PAIRS)
    return Verdicts(wrong / suites, {k: v / whole for k, v in told.items()})


def _is_wrong(said: str, true: float) -> bool:
    if said == "equivalent":
        return abs(true) >= MARGIN
    return said in ("better", "worse") and (said == "better") != (true > 0)


def _single(rng: np.random.Generator, n: int, shift: float) -> Floats:
    """(n, 1 + arms) single answers; an arm gives a tenth of them anew."""
    chance = 0.1 + 0.6 * rng.beta(0.7, 0.7, (n, 1))
    plain = rng.random((n, 1)) < chance
    anew = rng.random((n, ARMS)) < _ANEW
    fresh = rng.random((n, ARMS)) < chance + shift / _ANEW
    return np.hstack([plain, np.where(anew, fresh, plain)]).astype(float)


def _averaged(rng: np.random.Generator, n: int, shift: float) -> Floats:
    """(n, 1 + arms) means of eight samples, all drawn by every arm."""
    chance = 0.1 + 0.6 * rng.beta(0.7, 0.7, (n, 1))
    shifts = np.array([0.0, *[shift] * ARMS])
    return rng.binomial(_SAMPLES, chance + shifts, (n, ARMS + 1)) / _SAMPLES


SUITES: dict[str, Callable[[np.random.Generator, int, float], Floats]] = {
    "single answers": _single,
    "8 samples": _averaged,
}
