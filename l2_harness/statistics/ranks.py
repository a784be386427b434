"""Ranks: Spearman's correlation, and a variable's order within strata.

Products of ranks move with a response's weight, which resampling questions rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from l2_harness.statistics.estimate import Floats


@dataclass(frozen=True, eq=False)
class Ranking:
    """The order of one variable, or of each of several, within strata.

    Attributes:
        order: (n, ...) the responses, by stratum and then by value.
        below: (n, ...) how many stand before a response and its equals in that order.
        upto: (n, ...) the same, with the equals and itself.
        centred: (n, ...) its mid-rank minus the mean rank of its stratum.
        degree: how its size grows with the stratum's.
    """

    order: np.ndarray
    below: np.ndarray
    upto: np.ndarray
    centred: Floats
    degree: ClassVar[int] = 1

    @classmethod
    def of(cls, values: Floats, stratum: np.ndarray) -> Ranking:
        """The ranking of ``values`` (n, ...) within ``stratum`` (n,)."""
        n = len(values)
        across = (n, *[1] * (values.ndim - 1))
        label = np.broadcast_to(stratum.reshape(across), values.shape)
        order = (
            np.lexsort((values, label), axis=0)
            if stratum.any()
            else np.argsort(values, axis=0, kind="stable")
        )
        ordered, label = np.take_along_axis(values, order, 0), stratum[order]
        differs = (label[1:] != label[:-1]) | (ordered[1:] != ordered[:-1])
        edge = np.ones((1, *values.shape[1:]), dtype=bool)
        starts, ends = np.concatenate([edge, differs]), np.concatenate([differs, edge])
        place = np.arange(n).reshape(across)
        first = np.maximum.accumulate(np.where(starts, place, 0), axis=0)
        last = np.minimum.accumulate(np.where(ends, place + 1, n)[::-1], axis=0)[::-1]
        below, upto = np.empty_like(first), np.empty_like(last)
        np.put_along_axis(below, order, first, 0)
        np.put_along_axis(upto, order, last, 0)
        sizes = np.bincount(stratum)
        middle = (np.cumsum(sizes) - sizes / 2)[stratum].reshape(across)
        return cls(order, below, upto, (below + upto) / 2 - middle)

    def change(self, centred: Floats) -> Floats:
        """How Σ c(x) c(y) changes with a response's weight through the ranks of x alone.

        Args:
            centred: (n, ...) the centred ranks of y, which add up to 0 in each stratum. Of several
                x the dimensions begin with theirs.

        Returns:
            (n, ...): half the sum of y over the responses above it, minus those below it.
        """
        sums = np.zeros((len(centred) + 1, *centred.shape[1:]))
        np.cumsum(_along(centred, self.order), axis=0, out=sums[1:])
        return np.asarray((_along(sums, self.below) + _along(sums, self.upto)) / -2)


def _along(values: Floats, places: np.ndarray) -> Floats:
    """``values`` (m, ...) at ``places`` (n, ...) of their first dimension."""
    if places.ndim == 1:
        return values[places]
    wide = places.reshape(*places.shape, *[1] * (values.ndim - places.ndim))
    return np.take_along_axis(values, wide, 0)


@dataclass(frozen=True, eq=False)
class Deviations:
    """One variable's values less their stratum's mean: what its ranks forget.

    Attributes:
        centred: (n,).
        degree: as a :class:`Ranking` has.
    """

    centred: Floats
    degree: ClassVar[int] = 0

    @classmethod
    def of(cls, values: Floats, stratum: np.ndarray) -> Deviations:
        """The deviations of ``values`` (n,) within ``stratum`` (n,)."""
        means = np.bincount(stratum, values) / np.maximum(np.bincount(stratum), 1)
        centred = values - means[stratum]
        # What is equal within a stratum is 0 there, whatever its mean's last bit.
        return cls(np.where(np.abs(centred) > 1e-12 * np.abs(values), centred, 0.0))

    def change(self, centred: Floats) -> Floats:
        """0: a weight moves a mean, which what adds up to 0 does not feel."""
        return np.zeros_like(centred)


def spearman(x: Floats, y: Floats) -> Floats:
    """(...) Spearman's correlation along the last axis, ties at mid-ranks; nan where one is flat.

    Args:
        x: (..., n).
        y: (..., n).
    """
    from scipy.stats import rankdata

    middle = (x.shape[-1] + 1) / 2
    a, b = rankdata(x, axis=-1) - middle, rankdata(y, axis=-1) - middle
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return np.where(scale > 0, (a * b).sum(axis=-1) / np.where(scale > 0, scale, 1.0), np.nan)
