"""Rank statistics as sums over questions, so that a resample of questions is one matrix product.

Spearman's and the partial coefficients are ratios of products of ranks, such as
P = Σᵢ cᵢ(x) cᵢ(y) with c the centred mid-ranks. With whole questions drawn again, the
ranks themselves change. To first order in the weights the product of a resample is the weighted
sum of what each question contributes to it, its empirical influence values (Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 2.7; Hoeffding's projection). The products
here are scaled to be homogeneous of degree 1 in the weights, so by Euler's theorem the
contributions add up to the product itself: with all weights 1 every coefficient is exact, and
where a stratum is a question, so is every resample. Ratios are taken after resampling, unlike in
a linearisation of the coefficients.

Ranks are taken within strata, and a stratum counts by its responses: P of a stratum of n responses
is divided by n², that of a rank and of a value less its stratum's mean by n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.ranks import Deviations, Ranking

#: Values of an array of columns that are ranked together: a few stay in the processor's cache.
_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class Strata:
    """Which responses are ranked together, and to which question each belongs.

    Attributes:
        stratum: (n,) from 0.
        question: (n,) from 0; a question lies within one stratum.
        questions: how many there are, those without a response here included.
    """

    stratum: np.ndarray
    question: np.ndarray
    questions: int

    def __post_init__(self) -> None:
        pairs = np.unique(np.stack([self.question, self.stratum]), axis=1)
        if len(np.unique(pairs[0])) < pairs.shape[1]:
            raise ValueError("a question lies in several strata; it must lie in one.")

    @cached_property
    def size(self) -> Floats:
        """(n,) how many responses each one's stratum has."""
        return np.bincount(self.stratum)[self.stratum].astype(np.float64)

    def within(self, values: Floats) -> Floats:
        """(n, ...) the sum of values (n, ...) over each response's stratum."""
        return _sums(self._of_strata, values)[self.stratum]

    def by_question(self, values: Floats) -> Floats:
        """(questions, ...) the sum of values (n, ...) over each question."""
        return _sums(self._of_questions, values)

    @cached_property
    def _of_strata(self) -> Any:
        return _members(self.stratum, int(self.stratum.max()) + 1)

    @cached_property
    def _of_questions(self) -> Any:
        return _members(self.question, self.questions)

    def products(self, change: Floats, product: Floats, degree: np.ndarray | int) -> Floats:
        """Contributions of a sum of products.

        Args:
            change: (n, ...) its derivative by each response's weight.
            product: (n, ...) each response's own product.
            degree: (...) how many of the two factors are ranks.
        """
        size = self.size.reshape(-1, *[1] * (product.ndim - 1))
        own = change / size**degree
        return self.by_question(own - degree * self.within(product) / size ** (degree + 1))


@dataclass(frozen=True, eq=False)
class RankContributions:
    """Of x, C variables, and k others: what each of Q questions adds to the products.

    Attributes:
        xx: (Q, C).
        xv: (Q, C, k).
        varies: (Q, C) whether x varies within the question's stratum.
        row_sums: (n, C) Σⱼ sign(xᵢ − xⱼ) sign(vᵢ − vⱼ) over each response's stratum, v being the
            first of the others, where that has two values.
    """

    xx: Floats
    xv: Floats
    varies: np.ndarray
    row_sums: Floats


@dataclass(frozen=True, eq=False)
class Others:
    """v, k variables that any number of x go with: an outcome and covariates.

    Attributes:
        v: ranks, or values less their stratum's mean, of the n responses.
        strata: of the n responses.
    """

    v: Sequence[Ranking | Deviations]
    strata: Strata

    @cached_property
    def _scores(self) -> Floats:
        """(n, k)."""
        return np.stack([one.centred for one in self.v], axis=1)

    @cached_property
    def _degree(self) -> np.ndarray:
        return np.array([one.degree for one in self.v])

    @cached_property
    def vv(self) -> Floats:
        """(Q, k, k) what each question adds to their own products."""
        scores, degree = self._scores, self._degree
        found = np.empty((self.strata.questions, len(self.v), len(self.v)))
        for i, one in enumerate(self.v):  # one by one, since all pairs of each response are many
            product = one.centred[:, None] * scores
            change = product + one.change(scores)
            change += np.stack([other.change(one.centred) for other in self.v], axis=1)
            found[:, i] = self.strata.products(change, product, degree[i] + degree)
        return found

    def with_variables(self, x: Floats) -> RankContributions:
        """What goes with x, (n, C), finite."""
        strata, scores = self.strata, self._scores
        xx = np.empty((strata.questions, x.shape[1]))
        xv = np.empty((strata.questions, x.shape[1], len(self.v)))
        varies, row_sums = np.empty(xx.shape, dtype=bool), np.empty(x.shape)
        width = max(_AT_ONCE // max(scores.size, 1), 1)
        for start in range(0, x.shape[1], width):
            block = slice(start, start + width)
            own = Ranking.of(x[:, block], strata.stratum)
            square = own.centred**2
            xx[:, block] = strata.products(square + 2 * own.change(own.centred), square, 2)
            product = own.centred[:, :, None] * scores[:, None, :]
            through_x = product + own.change(np.broadcast_to(scores[:, None, :], product.shape))
            through_v = np.stack([one.change(own.centred) for one in self.v], axis=2)
            xv[:, block] = strata.products(through_x + through_v, product, 1 + self._degree)
            varies[:, block] = strata.by_question(strata.within(square)) > 0
            row_sums[:, block] = 4 * through_x[:, :, 0] / strata.size[:, None]
        return RankContributions(xx, xv, varies, row_sums)


def _members(labels: np.ndarray, count: int) -> Any:
    """(count, n) sparse: 1 where a response has the label."""
    from scipy.sparse import csr_array

    n = len(labels)
    return csr_array((np.ones(n), (labels, np.arange(n))), shape=(count, n))


def _sums(members: Any, values: Floats) -> Floats:
    """(count, ...) the sum of values (n, ...) over the responses of each label."""
    flat = members @ values.reshape(len(values), -1)
    return np.asarray(flat.reshape(members.shape[0], *values.shape[1:]))
