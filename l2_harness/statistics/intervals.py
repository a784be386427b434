"""Intervals of accuracies and of paired differences, many columns at once.

Single right-or-wrong answers have closed forms that hold at few questions and at none that
differ: Wilson's for an accuracy, Tango's for a paired difference, and Zou and Donner's rule for the
mean over tasks. Averages of several responses have none; their questions are drawn again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l2_harness.statistics.bootstrap import Floats, cluster_weights

#: Resamples whose weights are in memory at once.
_CHUNK = 200
_BISECTIONS = 40


def wilson(right: float, questions: int, level: float) -> tuple[float, float]:
    """Wilson's score interval of a share."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(right, questions, alpha=1 - level, method="wilson")
    return float(low), float(high)


def tango(
    better: ArrayLike, worse: ArrayLike, questions: int, level: ArrayLike
) -> tuple[Floats, Floats]:
    """Score interval of the difference of two paired shares.

    Tango, Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design, Statistics in Medicine 17 (1998), equations 8 to 10: the differences
    that a score test doesn't reject. The test at 0 is McNemar's without continuity correction.

    Args:
        better: (m,) questions that only the first answers.
        worse: (m,) those that only the second answers.
        questions: how many there are.
        level: the share that an interval covers, one for all or (m,).

    Returns:
        Lower and upper ends, (m,) each.
    """
    from scipy.special import ndtri

    better, worse = (np.atleast_1d(np.asarray(x, dtype=float)) for x in (better, worse))
    z = ndtri((1 + np.asarray(level, dtype=float)) / 2)
    # The score falls from the observed difference outwards: an end lies between that and −1 or 1.
    inner = np.stack([(better - worse) / questions] * 2)
    outer = np.stack([np.full_like(better, -1.0), np.ones_like(better)])
    for _ in range(_BISECTIONS):
        middle = (inner + outer) / 2
        kept = np.abs(_score(better, worse, questions, middle)) <= z
        inner, outer = np.where(kept, middle, inner), np.where(kept, outer, middle)
    return inner[0], inner[1]


def _score(better: Floats, worse: Floats, questions: int, difference: Floats) -> Floats:
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


def mean_of_tasks(values: Floats, lows: Floats, highs: Floats) -> tuple[Floats, Floats]:
    """Interval of the mean of independent tasks' figures, from an interval of each.

    Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine
    27 (2008): each end's distances are added like standard errors. One task stays as it is.

    Args:
        values: (tasks, m).
        lows: (tasks, m) lower ends, all at one level.
        highs: (tasks, m) upper ends.
    """
    mean, tasks = values.mean(axis=0), len(values)
    below = np.sqrt(((values - lows) ** 2).sum(axis=0)) / tasks
    above = np.sqrt(((highs - values) ** 2).sum(axis=0)) / tasks
    return mean - below, mean + above


def resampled_means(values: Floats, strata: NDArray[np.int64], resamples: int, seed: int) -> Floats:
    """Means of resampled questions; with several strata, the mean of the strata's means.

    Args:
        values: (questions, m); all columns see the same resamples, so that the difference of two
            is a resampled paired difference.
        strata: (questions,) which task each is of; a task is resampled on its own.
        resamples: how many, B.
        seed: of the resampling.

    Returns:
        (B, m).
    """
    rng = np.random.default_rng(seed)
    labels = np.unique(strata)
    total = np.zeros((resamples, values.shape[1]))
    for label in labels:
        own = values[strata == label]
        for start in range(0, resamples, _CHUNK):
            size = min(_CHUNK, resamples - start)
            weights = cluster_weights(np.arange(len(own)), size, rng)
            total[start : start + size] += weights @ own / len(own)
    return total / len(labels)


def percentile_interval(drawn: Floats, level: ArrayLike, freedom: int) -> tuple[Floats, Floats]:
    """Percentile interval, expanded for few questions.

    A percentile interval is too short by what a normal interval with the plug-in variance is:
    its tails are set to those that give a t interval's length in the normal case (Hesterberg, What
    teachers should know about the bootstrap, American Statistician 69, 2015, section 5.3).

    Args:
        drawn: (B, m) resampled figures.
        level: the share that an interval covers, one for all or (m,).
        freedom: questions less strata.
    """
    from scipy.special import ndtr, stdtrit

    level = np.broadcast_to(np.asarray(level, dtype=float), drawn.shape[1:])
    if freedom < 1:
        nothing = np.full(drawn.shape[1], np.nan)
        return nothing, nothing
    tails = ndtr(np.sqrt((freedom + 1) / freedom) * stdtrit(freedom, (1 - level) / 2))
    ends = np.empty((2, drawn.shape[1]))
    for tail in np.unique(tails):
        own = tails == tail
        ends[:, own] = np.quantile(drawn[:, own], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]
