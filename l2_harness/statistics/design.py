"""Which task, and which passage, each question is of: what a mean's uncertainty depends on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l2_harness.statistics.estimate import Floats


@dataclass(frozen=True, eq=False)
class Design:
    """Q units, such as questions, in strata whose means count the same.

    Attributes:
        strata: (Q,) from 0: the task of each; tasks are given, their questions a sample.
        clusters: (Q,) from 0: what was sampled as a whole, such as a passage with its questions.
            A cluster lies within one stratum.
    """

    strata: NDArray[np.int64]
    clusters: NDArray[np.int64]

    @classmethod
    def of(
        cls, units: int, strata: ArrayLike | None = None, clusters: ArrayLike | None = None
    ) -> Design:
        """From any labels (Q,); by default one stratum, and every unit a cluster of its own."""
        stratum = _numbered(np.zeros(units) if strata is None else strata)
        cluster = _numbered(np.arange(units) if clusters is None else clusters)
        pairs = np.stack([stratum, cluster])
        return cls(stratum, np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1))

    @property
    def units(self) -> int:
        """Q."""
        return len(self.strata)

    @property
    def is_simple(self) -> bool:
        """Whether every unit was sampled on its own from one stratum."""
        return len(self._clusters_of) == 1 and self._groups == self.units

    @cached_property
    def weights(self) -> Floats:
        """(Q,) what a unit adds to the mean of the strata's means; they sum to 1."""
        size = np.bincount(self.strata)
        return 1.0 / (len(size) * size[self.strata])

    def means(self, values: Floats) -> Floats:
        """(m,) of values (Q, m): the mean of the strata's means."""
        return np.asarray(self.weights @ values)

    def sums(self, values: Floats) -> Floats:
        """(clusters, m) of weighted values (Q, m); over all clusters they add up to the mean."""
        weighted = values * self.weights[:, None]
        if self._groups == self.units:
            return weighted
        return _grouped(weighted, self.clusters, self._groups)

    def variances(self, values: Floats) -> tuple[Floats, Floats]:
        """(m,) the variance of each mean of values (Q, m), and its degrees of freedom.

        Within a stratum of G clusters, the squares of the clusters' sums of residuals, times
        G/(G − 1); the whole times (Q − 1)/Q, which of single units in one stratum leaves the
        plug-in variance that a score interval takes. Freedom is Welch and Satterthwaite's;
        clusters less strata where nothing varies.
        """
        size = np.bincount(self.strata)
        residuals = values - (_grouped(values, self.strata, len(size)) / size[:, None])[self.strata]
        squares = self.sums(residuals) ** 2
        clusters = self._clusters_of
        factor = clusters / np.maximum(clusters - 1, 1) * (self.units - 1) / self.units
        by_stratum = _grouped(squares, self._stratum_of, len(size)) * factor[:, None]
        variance = by_stratum.sum(axis=0)
        spread = (by_stratum**2 / np.maximum(clusters - 1, 1)[:, None]).sum(axis=0)
        most = float((clusters - 1).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = np.where(spread > 0, variance**2 / spread, most)
        return variance, np.minimum(freedom, most)

    @cached_property
    def kish(self) -> float:
        """Kish's effective number of clusters: so many of equal weight are as sure a mean."""
        return float(1 / (self.sums(np.ones((self.units, 1))) ** 2).sum())

    @cached_property
    def _groups(self) -> int:
        return int(self.clusters.max()) + 1

    @cached_property
    def _stratum_of(self) -> NDArray[np.int64]:
        """(clusters,)."""
        found = np.zeros(self._groups, dtype=np.int64)
        found[self.clusters] = self.strata
        return found

    @cached_property
    def _clusters_of(self) -> NDArray[np.int64]:
        """(strata,) how many clusters each has."""
        return np.bincount(self._stratum_of)


def _numbered(labels: ArrayLike) -> NDArray[np.int64]:
    return np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1).astype(np.int64)


def _grouped(values: Floats, labels: NDArray[np.int64], groups: int) -> Floats:
    """(groups, m) sums of values (n, m)."""
    if groups == 1:
        return values.sum(axis=0, keepdims=True)
    total = np.zeros((groups, values.shape[1]))
    np.add.at(total, labels, values)
    return total
