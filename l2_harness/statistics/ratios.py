"""Ratios of sums over questions, linearised.

The variance is that of the ratio estimator (Cochran, Sampling Techniques, 1977, section 6.4): of
what each question would change.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.estimate import Estimates, Floats
from l2_harness.statistics.intervals import student


def ratios(over: Sequence[ArrayLike], under: Sequence[ArrayLike], level: float = 0.95) -> Estimates:
    """The product of some sums over questions divided by that of others, all positive.

    Such as the mean norm, ``ratios([norms], [counts])``. The interval is Student's of its
    logarithm.

    Args:
        over: (Q, ...) each, what each of Q questions adds; they broadcast.
        under: likewise. The degrees of freedom are one less than the questions in which the
            first is not 0.
        level: the share that an interval covers.

    Returns:
        p is that of a ratio of 1.
    """
    from scipy.special import stdtr

    up, down = ([np.asarray(one, dtype=float) for one in side] for side in (over, under))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = prod(one.sum(axis=0) for one in up) / prod(one.sum(axis=0) for one in down)
        shift = sum(one / one.sum(axis=0) for one in up) - sum(
            one / one.sum(axis=0) for one in down
        )
        freedom = (down[0] != 0).sum(axis=0) - 1
        error = np.sqrt(np.asarray(shift**2).sum(axis=0) * (freedom + 1) / np.maximum(freedom, 1))
        # what is the same in every question, such as a rate of none, has no error to go by
        known = (value > 0) & (error > 1e-9) & (freedom > 0)
        logarithm = np.where(known, np.log(value), np.nan)
        low, high = student(logarithm, error, freedom, level)
        p = 2 * stdtr(freedom, -np.abs(logarithm / error))
    return Estimates(np.asarray(value), np.exp(low), np.exp(high), np.asarray(p))


def linear_shifts(over: Floats, under: Floats) -> Floats:
    """(Q, m) values whose mean is the ratio of two sums, of any sign, with its variance.

    Args:
        over: (Q, m).
        under: (Q, m); where it does not add up to more than 0, the ratio is nan.
    """
    whole = under.mean(axis=0)
    safe = np.where(whole > 0, whole, np.nan)
    value = over.mean(axis=0) / safe
    return np.asarray(value + (over - value * under) / safe)
