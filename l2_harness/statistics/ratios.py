"""Ratios of sums over questions, linearised.

The variance is that of the ratio estimator (Cochran, Sampling Techniques, 1977, section 6.4): of
what each question would change.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
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
    up, down = ([np.asarray(one, dtype=float) for one in side] for side in (over, under))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = prod(one.sum(axis=0) for one in up) / prod(one.sum(axis=0) for one in down)
        shift = sum(one / one.sum(axis=0) for one in up) - sum(
            one / one.sum(axis=0) for one in down
        )
    variance = np.asarray(shift**2).sum(axis=0)
    return _estimates(np.asarray(value), variance, (down[0] != 0).sum(axis=0), level)


def _estimates(value: Floats, variance: Floats, questions: ArrayLike, level: float) -> Estimates:
    """Of the plug-in variance of a ratio's logarithm, and in how many questions it is defined."""
    from scipy.special import stdtr

    freedom = np.asarray(questions) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(variance * (freedom + 1) / np.maximum(freedom, 1))
        # what is the same in every question, such as a rate of none, has no error to go by
        known = (value > 0) & (error > 1e-9) & (freedom > 0)
        logarithm = np.where(known, np.log(value), np.nan)
        low, high = student(logarithm, error, freedom, level)
        p = 2 * stdtr(freedom, -np.abs(logarithm / error))
    return Estimates(value, np.exp(low), np.exp(high), np.asarray(p))


class RatioSums:
    """:func:`ratios` of any number of questions, which are given some at a time and not kept.

    Of ratios Σ a / Σ b, and of these over others, Σ A / Σ B. Variances are those of a − ρb, ρ the
    ratio, so sums of products would do. But what cancels would leave their rounding: the products
    are of a − rb, r the ratio of the first questions, which is near.
    """

    def __init__(self) -> None:
        self._near: list[Floats] = []
        self._sums: list[Floats] = []

    def add(self, over: Floats, under: Floats, whole_over: Floats, whole_under: Floats) -> None:
        """Some questions.

        Args:
            over: (m, ...) what each adds to the sum of a; all broadcast.
            under: (m, ...) to that of b.
            whole_over: (m, ...) to that of A.
            whole_under: (m, ...) to that of B.
        """
        pairs = (over, under), (whole_over, whole_under)
        found = [_ratio(*(of.sum(axis=0) for of in pair)) for pair in pairs]
        near = self._near or found
        self._near = [np.where(np.isnan(r), new, r) for r, new in zip(near, found, strict=True)]
        rest, whole = (
            of - np.nan_to_num(r) * by for r, (of, by) in zip(self._near, pairs, strict=True)
        )
        plain = over, under, whole_over, whole_under, under != 0, rest, whole
        four = combinations_with_replacement((rest, under, whole, whole_under), 2)
        sums = [np.asarray(one).sum(axis=0) for one in (*plain, *(x * y for x, y in four))]
        before = self._sums or [np.zeros_like(one) for one in sums]
        self._sums = [one + new for one, new in zip(before, sums, strict=True)]

    @property
    def over(self) -> Floats:
        """(...) Σ a."""
        return self._sums[0]

    @property
    def under(self) -> Floats:
        """(...) Σ b."""
        return self._sums[1]

    def ratio(self, level: float = 0.95) -> Estimates:
        """Σ a / Σ b."""
        over, under, *_ = self._sums
        own, _, _ = self._squares()
        return _estimates(_ratio(over, under), own, self._sums[4], level)

    def relative(self, level: float = 0.95) -> Estimates:
        """(Σ a / Σ b) / (Σ A / Σ B)."""
        over, under, whole_over, whole_under, *_ = self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            value = over / under * (whole_under / whole_over)
        own, both, whole = self._squares()
        variance = own - 2 * both + whole
        # of ratios that are the same, rounding is left
        variance = np.where(variance > 1e-12 * (own + whole), variance, 0.0)
        return _estimates(value, variance, self._sums[4], level)

    def _squares(self) -> tuple[Floats, Floats, Floats]:
        """Σ e², Σ eE and Σ E² with e = (a − ρb) / Σ a, and E the same of A and B."""
        over, under, whole_over, whole_under, _, rest, whole, *products = self._sums
        dd, db, d_whole, d_under, bb, b_whole, b_under, ww, wu, uu = products
        shift, whole_shift = _ratio(rest, under), _ratio(whole, whole_under)
        own = dd - 2 * shift * db + shift**2 * bb
        of_whole = ww - 2 * whole_shift * wu + whole_shift**2 * uu
        both = d_whole - whole_shift * d_under - shift * (b_whole - whole_shift * b_under)
        with np.errstate(invalid="ignore", divide="ignore"):
            return own / over**2, both / (over * whole_over), of_whole / whole_over**2


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(over / under)


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
