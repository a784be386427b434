"""Intervals of means and of paired differences, many columns at once.

One rule, whatever a question's value is the average of: the score interval of single
right-or-wrong answers (Wilson's for a mean, Tango's for a paired difference), at the effective
number of questions, that with which single answers would have the estimated variance of the mean,
and with Student's quantile. Values without bounds have Student's interval with the same variance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Estimate, Floats, estimates

_BISECTIONS = 40


def student(
    values: ArrayLike, errors: ArrayLike, freedom: ArrayLike, level: ArrayLike = 0.95
) -> tuple[Floats, Floats]:
    """Values less and plus their standard errors times Student's quantile; nan without freedom."""
    half = quantile(freedom, level) * np.asarray(errors, dtype=float)
    return np.asarray(values - half), np.asarray(values + half)


def quantile(freedom: ArrayLike, level: ArrayLike = 0.95) -> Floats:
    """Of Student's distribution, two-sided; nan below one degree of freedom."""
    from scipy.special import stdtrit

    freedom = np.asarray(freedom, dtype=float)
    known = np.where(freedom >= 1, freedom, np.nan)
    return np.asarray(stdtrit(known, (1 + np.asarray(level, dtype=float)) / 2))


def wilson(share: ArrayLike, questions: ArrayLike, z: ArrayLike) -> tuple[Floats, Floats]:
    """Wilson's score interval of a share; of shares (m,), a number and a quantile each."""
    share, n, z = (np.asarray(x, dtype=float) for x in (share, questions, z))
    middle = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def tango(
    better: ArrayLike, worse: ArrayLike, questions: ArrayLike, z: ArrayLike
) -> tuple[Floats, Floats]:
    """Score interval of the difference of two paired shares.

    Tango, Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design, Statistics in Medicine 17 (1998), equations 8 to 10: the differences
    that a score test doesn't reject. The test at 0 is McNemar's without continuity correction.

    Args:
        better: (m,) questions that only the first answers; need not be whole.
        worse: (m,) those that only the second answers.
        questions: how many there are, for all or (m,).
        z: the quantile, for all or (m,); nan leaves the ends open.

    Returns:
        Lower and upper ends, (m,) each.
    """
    better, worse = (np.atleast_1d(np.asarray(x, dtype=float)) for x in (better, worse))
    n, z = np.asarray(questions, dtype=float), np.asarray(z, dtype=float)
    # The score falls from the observed difference outwards: an end lies between that and −1 or 1.
    inner = np.stack([(better - worse) / n] * 2)
    outer = np.stack([np.full_like(better, -1.0), np.ones_like(better)])
    for _ in range(_BISECTIONS):
        middle = (inner + outer) / 2
        kept = np.abs(_score(better, worse, n, middle)) <= z
        inner, outer = np.where(kept, middle, inner), np.where(kept, outer, middle)
    low, high = np.where(np.isnan(z), np.nan, inner)
    return low, high


def _score(better: Floats, worse: Floats, questions: Floats, difference: Floats) -> Floats:
    """Tango's statistic of a supposed difference; 0 where its variance is 0."""
    a = 2.0 * questions
    b = -better - worse + (2 * questions - better + worse) * difference
    c = -worse * difference * (1 - difference)
    # What only the second answers, as likely as can be under that difference.
    q = (np.sqrt(np.maximum(b * b - 4 * a * c, 0)) - b) / (2 * a)
    variance = np.maximum(questions * (2 * q + difference * (1 - difference)), 0)
    top = better - worse - questions * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        score = top / np.sqrt(variance)
    return np.where(variance > 0, score, np.where(np.abs(top) > 1e-9, np.inf, 0.0))


def difference_ends(
    by_question: Floats, design: Design, level: ArrayLike, *, bounded: bool = True
) -> tuple[Floats, Floats]:
    """The interval of the mean of paired differences.

    With m the mean, c that of the differences' sizes and v the variance of m, single answers would
    have that variance at (c − m²) / v questions.

    Args:
        by_question: (Q, m) differences.
        design: of the Q questions.
        level: the share that an interval covers, one for all or (m,).
        bounded: whether they are differences of scores from 0 to 1.
    """
    mean = design.means(by_question)
    variance, freedom = design.variances(by_question)
    if not bounded:
        return student(mean, _error(variance), freedom, level)
    better, worse = (design.means(np.maximum(sign * by_question, 0)) for sign in (1, -1))
    n = _effective(better + worse - mean**2, variance, design)
    return tango(n * better, n * worse, n, quantile(freedom, level))


def mean_estimates(
    values: Floats, design: Design, level: float = 0.95, *, bounded: bool = True
) -> list[Estimate]:
    """The mean of each column with its interval.

    Single right-or-wrong answers have Wilson's own: their variance follows from their mean.

    Args:
        values: (Q, m); nan makes its column's mean unknown.
        design: of the Q questions.
        level: the share that an interval covers.
        bounded: whether they are scores from 0 to 1.
    """
    mean = design.means(values)
    variance, freedom = design.variances(values)
    if bounded:
        single = np.isin(values, (0.0, 1.0)).all(axis=0) & design.is_simple
        z = quantile(np.where(single, np.inf, freedom), level)
        low, high = wilson(mean, _effective(mean * (1 - mean), variance, design), z)
    else:
        low, high = student(mean, _error(variance), freedom, level)
    return estimates(mean, low, high, design.units, design.units)


def _effective(single: Floats, variance: Floats, design: Design) -> Floats:
    """(m,) how many single answers of variance ``single`` have a mean of this variance."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = single / variance
    return np.where((variance > 1e-18) & (single > 1e-15), found, design.kish)


def _error(variance: Floats) -> Floats:
    """Standard errors; nan where nothing varies, which leaves nothing to go by."""
    return np.where(variance > 0, np.sqrt(variance), np.nan)
