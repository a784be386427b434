"""p values of paired comparisons, and their correction for how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.estimate import Floats

FLIPS = 10_000
#: Signs that are drawn at a time, a few in the processor's cache.
_AT_ONCE = 1 << 19
#: Statistics that differ by rounding only count as equal.
_SLACK = 1e-9


def holm(p: ArrayLike) -> Floats:
    """Holm's step-down correction of (m,) p values; nan where there is none, which counts not.

    statsmodels' ``multipletests`` gives the same, and collects garbage at every call, which takes
    longer than all the rest of a comparison.
    """
    p = np.asarray(p, dtype=float)
    corrected, known = np.full(p.shape, np.nan), ~np.isnan(p)
    m = int(known.sum())
    order = np.flatnonzero(known)[np.argsort(p[known], kind="stable")]
    stepped = np.maximum.accumulate(p[order] * np.arange(m, 0, -1))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def mcnemar_p(better: ArrayLike, worse: ArrayLike) -> Floats:
    """(...) two-sided p values of McNemar's exact test.

    Under the null, a question that only one of the two answers is as likely to be either's.

    Args:
        better: (...) questions that only the first answers.
        worse: (...) questions that only the second answers.
    """
    from scipy.special import bdtr

    better, worse = np.asarray(better, dtype=np.int64), np.asarray(worse, dtype=np.int64)
    fewer = np.minimum(better, worse).astype(float)
    # Signs are as likely either way, so the two tails are equal.
    return np.minimum(1.0, 2 * bdtr(fewer, better + worse, 0.5))


@dataclass(frozen=True, eq=False)
class SignFlips:
    """A family of m tests under random signs.

    The statistic is a sum over its root sum of squares, which signs leave as it is.

    Attributes:
        observed: (m,) its size.
        drawn: (flips, m) its size under random signs, the same for all tests.
    """

    observed: Floats
    drawn: Floats

    @classmethod
    def of(cls, sums: Floats, *, flips: int = FLIPS, seed: int = 0) -> SignFlips:
        """Of what each of G clusters adds to each mean, (G, m)."""
        telling = sums[(sums != 0).any(axis=1)]
        scale = np.sqrt((telling**2).sum(axis=0))
        scaled = telling / np.where(scale > 0, scale, 1.0)
        rng = np.random.default_rng(seed)
        drawn = np.empty((flips, sums.shape[1]))
        # by fours, since a byte is a sign and numpy draws four together: so that the same
        # signs come however many are drawn at a time
        step = max(_AT_ONCE // max(len(scaled), 1) // 4, 1) * 4
        whole = scaled.sum(axis=0)
        for start in range(0, flips, step):
            shape = (min(step, flips - start), len(scaled))
            positive = rng.integers(0, 2, shape, dtype=np.int8).astype(np.float64)
            drawn[start : start + step] = np.abs(2 * (positive @ scaled) - whole)
        return cls(np.abs(whole), drawn)

    @property
    def p(self) -> Floats:
        """(m,) two-sided, each test on its own.

        Under the null a cluster's difference is as likely to be turned round. The observed signs
        count as one of the draws, so that no p is 0.
        """
        return self._share((self.drawn >= self.observed - _SLACK).sum(axis=0))

    def corrected(self, alpha: float) -> tuple[Floats, Floats]:
        """(m,) p for the whole family, and the critical value of each interval that goes with it.

        Step-down, by the largest statistic of those not yet rejected (Westfall and Young;
        Romano and Wolf, Econometrica 73, 2005): unlike Holm's correction it knows how much the
        tests, which share a baseline, go together. Intervals hold together at the whole family's
        critical value; one that only a later step rejects is at the value of that step.
        """
        order = np.argsort(-self.observed, kind="stable")
        observed = self.observed[order]
        largest = np.maximum.accumulate(self.drawn[:, order[::-1]], axis=1)[:, ::-1]
        stepped = np.maximum.accumulate(self._share((largest >= observed - _SLACK).sum(axis=0)))
        place = max(int(np.ceil((1 - alpha) * len(largest))) - 1, 0)
        critical = np.partition(largest, place, axis=0)[place]
        later = (stepped <= alpha) & (observed < critical[0])
        found = np.empty((2, len(order)))
        found[:, order] = stepped, np.where(later, critical, critical[0])
        return found[0], found[1]

    def _share(self, as_large: Floats) -> Floats:
        return np.asarray((1 + as_large) / (1 + len(self.drawn)))


def sign_flip_p(differences: Floats, *, flips: int = FLIPS, seed: int = 0) -> Floats:
    """(m,) two-sided p values of paired differences, (questions, m), under random signs."""
    return SignFlips.of(differences, flips=flips, seed=seed).p
