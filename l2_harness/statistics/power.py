"""How many questions or seeds it would take to see a difference, and what can be seen with these.

Single right-or-wrong answers: the exact power of McNemar's exact test at the observed share of
questions that only one of the two answers. Averages: the normal approximation of a paired test at
the observed variance of a question's difference, with Guenther's correction for an estimated
variance (Sample size formulas for normal theory t tests, American Statistician 35, 1981). Cf.
Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics
43, 1987, and arXiv 2411.00640, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.paired import Difference

#: More questions than this are no plan.
MOST = 1_000_000
#: From so many questions on the formula is within 0.5 % of the exact test.
_EXACT = 10_000


@dataclass(frozen=True)
class Needed:
    """What it would take to see a difference.

    Attributes:
        questions: None for more than a million.
        seeds: of both methods, at the questions at hand. None where one seed leaves open what
            seeds add to the spread; infinite where no number of them would do.
    """

    questions: int | None
    seeds: float | None


@dataclass(frozen=True)
class Spread:
    """What decides the power of a comparison.

    Attributes:
        questions: at hand.
        variance: of a question's difference.
        discordant: share of questions that only one answers; None for averages.
        within: what of ``variance`` is due to seeds, with as many as there are; None if unknown.
        seeds: how many there are.
    """

    questions: int
    variance: float
    discordant: float | None
    within: float | None = None
    seeds: int = 1

    @classmethod
    def of(cls, difference: Difference, questions: int, within: float | None, seeds: int) -> Spread:
        """Of a difference that was measured."""
        return cls(questions, difference.variance, difference.discordant, within, seeds)


def needed(spread: Spread, difference: float, alpha: float, power: float) -> Needed:
    """Questions, or seeds, to see a difference with that chance.

    Args:
        spread: of the comparison.
        difference: above 0, in the metric's unit.
        alpha: two-sided level of the test.
        power: the chance.
    """
    if spread.discordant is None:
        questions = normal_questions(spread.variance, difference, alpha, power)
    else:
        questions = mcnemar_questions(discordance(spread), difference, alpha, power)
    found = questions if questions <= MOST else None
    return Needed(found, _seeds(spread, difference, alpha, power))


def detectable(spread: Spread, alpha: float, power: float) -> float | None:
    """The smallest difference that the questions at hand show with that chance; None above 1."""
    if spread.discordant is None:
        z = _quantiles(alpha, power)
        inner = max(spread.questions - _quantile(alpha) ** 2 / 2, 1.0)
        return z * math.sqrt(spread.variance / inner) if spread.variance > 0 else None
    share = discordance(spread)
    low, high = 0.0, 1.0
    if mcnemar_power(spread.questions, share, high, alpha) < power:
        return None
    for _ in range(15):
        middle = (low + high) / 2
        reached = mcnemar_power(spread.questions, share, middle, alpha) >= power
        low, high = (low, middle) if reached else (middle, high)
    return high


def discordance(spread: Spread) -> float:
    """The observed share, kept off 0, where nothing could be said."""
    return ((spread.discordant or 0.0) * spread.questions + 0.5) / (spread.questions + 1)


def normal_questions(variance: float, difference: float, alpha: float, power: float) -> int:
    """Questions for a paired test of averages."""
    size = (_quantiles(alpha, power) / difference) ** 2 * variance + _quantile(alpha) ** 2 / 2
    return math.ceil(min(size, 10 * MOST))


def connor_questions(share: float, difference: float, alpha: float, power: float) -> float:
    """Connor's formula for McNemar's test; the exact test needs a little more."""
    share = max(share, difference)
    root = _quantile(alpha) * math.sqrt(share)
    root += (_quantiles(alpha, power) - _quantile(alpha)) * math.sqrt(share - difference**2)
    return (root / difference) ** 2


@lru_cache(maxsize=4096)
def mcnemar_questions(share: float, difference: float, alpha: float, power: float) -> int:
    """Questions for McNemar's exact test, by bisection of its exact power; within 0.5 %.

    The power goes up and down a little from one number of questions to the next.
    """
    simple = connor_questions(share, difference, alpha, power)
    # What an exact test needs more, by the continuity correction of a difference in proportions.
    guess = simple * (1 + math.sqrt(1 + 4 / (simple * difference))) ** 2 / 4
    if guess > _EXACT:
        return math.ceil(min(guess, 10 * MOST))
    low, high = math.floor(simple * 0.95), math.ceil(guess * 1.02 + 4)
    while high - low > max(1.0, 0.005 * high):
        middle = (low + high) // 2
        reached = mcnemar_power(middle, share, difference, alpha) >= power
        low, high = (low, middle) if reached else (middle, high)
    return high


def mcnemar_power(questions: int, share: float, difference: float, alpha: float) -> float:
    """Chance that McNemar's exact test rejects.

    Args:
        questions: how many.
        share: of them that only one of the two answers; at least the difference.
        difference: of the two shares of right answers.
        alpha: two-sided level.
    """
    from scipy.special import bdtr, gammaln, xlog1py, xlogy

    if questions < 1:
        return 0.0
    share = max(share, difference)
    spread = 5 * math.sqrt(questions * share * (1 - share)) + 8
    first = max(0, math.floor(questions * share - spread))
    last = min(questions, math.ceil(questions * share + spread))
    discordant = np.arange(first, last + 1)
    rest = questions - discordant
    chance = np.exp(
        gammaln(questions + 1)
        - gammaln(discordant + 1)
        - gammaln(rest + 1)
        + xlogy(discordant, share)
        + xlog1py(rest, -share)
    )
    critical = _critical(1 << last.bit_length(), alpha)[first : last + 1]
    better = min((1 + difference / share) / 2, 1.0)
    rejected = sum(bdtr(np.maximum(critical, 0.0), discordant, p) for p in (better, 1 - better))
    return float((chance * np.where(critical >= 0, rejected, 0.0)).sum())


@lru_cache(maxsize=64)
def _critical(size: int, alpha: float) -> Floats:
    """(size,) the largest number on one side that the exact test rejects; −1 for none.

    By how many questions differ, from 0.
    """
    from scipy.special import bdtr

    discordant = np.arange(size)
    start = np.floor(discordant / 2 - _quantile(alpha) * np.sqrt(discordant) / 2)
    found = np.full(size, -1.0)
    for step in range(-3, 3):
        tried = np.clip(start + step, 0.0, discordant)
        found = np.where(bdtr(tried, discordant, 0.5) <= alpha / 2, np.maximum(found, tried), found)
    return found


def _seeds(spread: Spread, difference: float, alpha: float, power: float) -> float | None:
    if spread.within is None:
        return None
    allowed = (difference / _quantiles(alpha, power)) ** 2
    allowed *= max(spread.questions - _quantile(alpha) ** 2 / 2, 1.0)
    between = max(spread.variance - spread.within, 0.0)
    if between + spread.within <= allowed:
        return float(spread.seeds)
    one_seed = spread.within * spread.seeds
    if allowed <= between or one_seed == 0:
        return math.inf
    return float(math.ceil(one_seed / (allowed - between)))


def _quantile(alpha: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(1 - alpha / 2))


def _quantiles(alpha: float, power: float) -> float:
    from scipy.special import ndtri

    return _quantile(alpha) + float(ndtri(power))
