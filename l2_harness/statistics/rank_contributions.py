"""Rank statistics as sums over questions, so that a resample of questions is one matrix product.

Spearman's, Kendall's and the partial coefficients are ratios of products of ranks or of signs,
such as P = Σᵢ cᵢ(x) cᵢ(y) with c the centred mid-ranks. With whole questions drawn again, the
ranks themselves change. To first order in the weights the product of a resample is the weighted
sum of what each question contributes to it, its empirical influence values (Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 2.7; Hoeffding's projection). The products
here are scaled to be homogeneous of degree 1 in the weights, so by Euler's theorem the
contributions add up to the product itself: with all weights 1 every coefficient is exact, and
where a stratum is a question, so is every resample. Ratios are taken after resampling, unlike in
a linearisation of the coefficients.

Ranks are taken within strata, and a stratum counts by its responses: P of a stratum of n responses
is divided by n², as in :mod:`l2_harness.statistics.correlation`; a sum over pairs by n.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from l2_harness.statistics.bootstrap import Floats
from l2_harness.statistics.concordance import orders, row_sums
from l2_harness.statistics.ranking import Ranking


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

    def products(self, change: Floats, product: Floats) -> Floats:
        """Contributions of a sum of products of ranks.

        Args:
            change: (n, ...) its derivative by each response's weight.
            product: (n, ...) each response's own product.
        """
        size = self.size.reshape(-1, *[1] * (product.ndim - 1))
        return self.by_question(change / size**2 - 2 * self.within(product) / size**3)

    def pairs(self, row_sum: Floats) -> Floats:
        """Contributions of a sum over pairs, from each response's sum (n, ...) over its pairs."""
        size = self.size.reshape(-1, *[1] * (row_sum.ndim - 1))
        return self.by_question(2 * row_sum / size - self.within(row_sum) / size**2)


@dataclass(frozen=True, eq=False)
class RankContributions:
    """Of x, C variables, and v, k others: what each of Q questions adds to the rank products.

    Attributes:
        xx: (Q, C).
        xv: (Q, C, k).
        vv: (Q, k, k).
        varies: (Q, C) whether x varies within the question's stratum.
    """

    xx: Floats
    xv: Floats
    vv: Floats
    varies: np.ndarray


def rank_contributions(x: Floats, v: Floats, strata: Strata) -> RankContributions:
    """Contributions to the products of centred ranks.

    Args:
        x: (n, C), finite.
        v: (n, k), finite.
        strata: of the n responses.
    """
    others = [Ranking.of(column, strata.stratum) for column in v.T]
    ranks = np.stack([one.centred for one in others], axis=1)
    shifts = np.stack([one.change(ranks) for one in others], axis=1)
    both = ranks[:, :, None] * ranks[:, None, :]
    vv = strata.products(both + shifts + shifts.transpose(0, 2, 1), both)
    xx = np.empty((strata.questions, x.shape[1]))
    xv = np.empty((strata.questions, x.shape[1], v.shape[1]))
    varies = np.empty(xx.shape, dtype=bool)
    for index, column in enumerate(x.T):
        own = Ranking.of(column, strata.stratum)
        square = own.centred**2
        xx[:, index] = strata.products(square + 2 * own.change(own.centred), square)
        product = own.centred[:, None] * ranks
        through_v = np.stack([one.change(own.centred) for one in others], axis=1)
        xv[:, index] = strata.products(product + own.change(ranks) + through_v, product)
        varies[:, index] = strata.by_question(strata.within(square)) > 0
    return RankContributions(xx, xv, vv, varies)


@dataclass(frozen=True, eq=False)
class PairContributions:
    """Of x, C variables, and an outcome y: what each question adds to sums over pairs.

    Attributes:
        xy: (Q, C) of the product of the signs of both differences.
        xx: (Q, C) of pairs that x tells apart.
        yy: (Q,) of pairs that y tells apart.
        row_sums: (n, C) each response's sum over its pairs, of the product of signs.
    """

    xy: Floats
    xx: Floats
    yy: Floats
    row_sums: Floats


def pair_contributions(x: Floats, y: Floats, strata: Strata) -> PairContributions:
    """Contributions to Kendall's sums over pairs.

    Args:
        x: (n, C), finite.
        y: (n,), finite.
        strata: of the n responses.
    """
    outcome = Ranking.of(y, strata.stratum)
    binary = len(np.unique(y)) <= 2
    orders_of_y = [] if binary else orders(y, strata.stratum)
    sums, untied = np.empty(x.shape), np.empty(x.shape)
    for index, column in enumerate(x.T):
        own = Ranking.of(column, strata.stratum)
        untied[:, index] = strata.size - own.ties
        if binary:  # its ranks are all there is to know of it
            change = own.centred * outcome.centred + own.change(outcome.centred)
            sums[:, index] = 4 * change / strata.size
        else:
            sums[:, index] = row_sums(orders(column, strata.stratum), orders_of_y, strata.size)
    yy = strata.pairs(strata.size - outcome.ties)
    return PairContributions(strata.pairs(sums), strata.pairs(untied), yy, sums)


def auroc_contributions(
    row_sums: Floats, correct: np.ndarray, strata: Strata
) -> tuple[Floats, Floats]:
    """Contributions to the mean AUROC over strata, each counting by its questions.

    Args:
        row_sums: (n, C) of :class:`PairContributions` with ``correct`` as outcome.
        correct: (n,) 1 and 0, both in every stratum.
        strata: of the n responses.

    Returns:
        (Q, C) of the sum of AUROCs, and (Q,) of the sum of their weights.
    """
    right = strata.within(correct[:, None])[:, 0]
    wrong = strata.size - right
    pairs = (2 * right * wrong)[:, None]
    total = strata.within(row_sums)
    change = (
        2 * row_sums - total / pairs * (2 * np.where(correct == 1, wrong, right))[:, None]
    ) / (2 * pairs)
    present = np.zeros(strata.questions)
    present[strata.question] = 1.0
    stratum_of = np.zeros(strata.questions, dtype=np.int64)
    stratum_of[strata.question] = strata.stratum
    members = np.bincount(stratum_of[present > 0], minlength=int(strata.stratum.max()) + 1)
    own = strata.by_question(change * members[strata.stratum][:, None])
    area = np.empty((strata.questions, row_sums.shape[1]))
    area[strata.question] = (1 + total / pairs) / 2
    return np.where(present[:, None] > 0, own + np.nan_to_num(area), 0.0), present


def _members(labels: np.ndarray, count: int) -> Any:
    """(count, n) sparse: 1 where a response has the label."""
    from scipy.sparse import csr_array

    n = len(labels)
    return csr_array((np.ones(n), (labels, np.arange(n))), shape=(count, n))


def _sums(members: Any, values: Floats) -> Floats:
    """(count, ...) the sum of values (n, ...) over the responses of each label."""
    flat = members @ values.reshape(len(values), -1)
    return np.asarray(flat.reshape(members.shape[0], *values.shape[1:]))
