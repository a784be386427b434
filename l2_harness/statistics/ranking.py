"""A variable's order within strata, and how rank products move with a response's weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l2_harness.statistics.bootstrap import Floats


@dataclass(frozen=True, eq=False)
class Ranking:
    """One variable's order within strata.

    Attributes:
        order: (n,) the responses, by stratum and then by value.
        below: (n,) how many stand before a response and its equals in that order.
        upto: (n,) the same, with the equals and itself.
        centred: (n,) its mid-rank minus the mean rank of its stratum.
    """

    order: np.ndarray
    below: np.ndarray
    upto: np.ndarray
    centred: Floats

    @classmethod
    def of(cls, values: Floats, stratum: np.ndarray) -> Ranking:
        """The ranking of ``values`` (n,) within ``stratum`` (n,)."""
        n = len(values)
        one = not stratum.any()
        order = np.argsort(values, kind="stable") if one else np.lexsort((values, stratum))
        ordered, label = values[order], stratum[order]
        changes = np.ones(n, dtype=bool)
        changes[1:] = (label[1:] != label[:-1]) | (ordered[1:] != ordered[:-1])
        first = np.flatnonzero(changes)
        group = np.cumsum(changes) - 1
        last = np.append(first[1:], n)
        below, upto = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        below[order], upto[order] = first[group], last[group]
        sizes = np.bincount(stratum)
        ends = np.cumsum(sizes)
        middle = (ends - sizes / 2)[stratum]
        return cls(order, below, upto, (below + upto) / 2 - middle)

    @property
    def ties(self) -> np.ndarray:
        """(n,) how many responses of the stratum have the same value, itself included."""
        return self.upto - self.below

    def change(self, centred: Floats) -> Floats:
        """How Σ c(x) c(y) changes with a response's weight through the ranks of x alone.

        Args:
            centred: (n, ...) the centred ranks of y, which add up to 0 in each stratum.

        Returns:
            (n, ...): half the sum of y over the responses above it, minus those below it.
        """
        sums = np.zeros((len(centred) + 1, *centred.shape[1:]))
        np.cumsum(centred[self.order], axis=0, out=sums[1:])
        return np.asarray((sums[self.below] + sums[self.upto]) / -2)
