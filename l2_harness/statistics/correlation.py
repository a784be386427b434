"""Rank correlation: raw, controlled for covariates, and within strata.

All three are one computation. Within each stratum (all responses, where there are none) every
variable is replaced by its mid-ranks, centred and divided by the stratum's size; the covariates'
ranks are then taken out of both variables by least squares, and Pearson's correlation of what
is left is the result. With neither covariates nor strata that is Spearman's coefficient. With
covariates it is the partial rank correlation of the rank transformation (Conover and Iman,
The American Statistician 35, 1981), the same that pingouin's `partial_corr(method="spearman")`
and R's ppcor give. It takes out what is linear in the covariate's ranks, no more. Ranks do not
tell a length from its logarithm.

Everything takes weights (B, n), how often each response counts, so that a bootstrap works on
many resamples at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l2_harness.statistics.bootstrap import Floats, estimate
from l2_harness.statistics.estimate import Estimate

#: Below this share of a variable's variance, what is left of it is rounding error.
_NOTHING_LEFT = 1e-10


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation of x (n,) and y (n,), ties at their mid-ranks.

    Returns nan where either is constant, or there are fewer than two values.
    """
    from scipy.stats import spearmanr

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(spearmanr(x, y).statistic)


def partial_spearman(
    x: ArrayLike,
    y: ArrayLike,
    covariates: Sequence[ArrayLike] = (),
    strata: ArrayLike | None = None,
) -> float:
    """Rank correlation of x and y, controlled for covariates, within strata.

    Args:
        x: (n,) values.
        y: (n,) values.
        covariates: each (n,).
        strata: (n,) labels. A stratum in which x or y is constant says nothing of their
            relation and is left out.

    Returns:
        The coefficient; nan where a covariate explains x or y wholly, or nothing varies.
    """
    x = np.asarray(x, dtype=float)
    weights = np.ones((1, len(x)))
    return float(rank_correlation(weights, x, y, covariates, strata)[0])


def correlation_interval(
    x: ArrayLike,
    y: ArrayLike,
    clusters: ArrayLike,
    covariates: Sequence[ArrayLike] = (),
    strata: ArrayLike | None = None,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """:func:`partial_spearman` with its question-clustered bootstrap interval.

    ``clusters`` (n,) is the question of each response. Of responses in strata that say nothing
    the result does not count any.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    keep = informative(x, y, strata)
    if not keep.any():
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    statistic = partial(
        rank_correlation,
        x=x[keep],
        y=y[keep],
        covariates=[np.asarray(c, dtype=float)[keep] for c in covariates],
        strata=None if strata is None else np.asarray(strata)[keep],
    )
    questions = np.asarray(clusters)[keep]
    return estimate(statistic, questions, resamples=resamples, level=level, seed=seed)


def informative(x: Floats, y: Floats, strata: ArrayLike | None = None) -> NDArray[np.bool_]:
    """(n,) whether a response is in a stratum in which both x and y vary."""
    labels = np.zeros(len(x), dtype=int) if strata is None else np.asarray(strata)
    keep = np.zeros(len(x), dtype=bool)
    for label in np.unique(labels):
        inside = labels == label
        keep[inside] = np.ptp(x[inside]) > 0 and np.ptp(y[inside]) > 0
    return keep


def rank_correlation(
    weights: Floats,
    x: ArrayLike,
    y: ArrayLike,
    covariates: Sequence[ArrayLike] = (),
    strata: ArrayLike | None = None,
) -> Floats:
    """The coefficient of each resample.

    Args:
        weights: (B, n), how often each response is in each resample.
        x: (n,) values.
        y: (n,) values.
        covariates: each (n,).
        strata: (n,) labels, or None for one stratum.

    Returns:
        (B,) float64, nan where it is undefined.
    """
    variables = [np.asarray(v, dtype=float) for v in (x, y, *covariates)]
    labels = np.zeros(len(variables[0]), dtype=int) if strata is None else np.asarray(strata)
    products = np.zeros((len(weights), len(variables), len(variables)))
    for label in np.unique(labels):
        inside = labels == label
        products += _products(weights[:, inside], [v[inside] for v in variables])
    return _partial_correlation(products)


def mid_ranks(weights: Floats, values: Floats) -> Floats:
    """(B, n) the mid-rank of each value among the weighted values, from 1.

    With all weights 1 that is `scipy.stats.rankdata`; with whole weights it is the rank in the
    sample in which each value is repeated that often.
    """
    order = np.argsort(values, kind="stable")
    _, first, member = np.unique(values[order], return_index=True, return_inverse=True)
    in_group = np.add.reduceat(weights[:, order], first, axis=1)
    up_to = np.cumsum(in_group, axis=1)
    of_group = up_to - in_group / 2 + 0.5
    ranks = np.empty_like(weights)
    ranks[:, order] = of_group[:, member]
    return ranks


def _products(weights: Floats, variables: Sequence[Floats]) -> Floats:
    """(B, v, v) weighted products of the centred, scaled ranks within one stratum."""
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    # Mid-ranks have the mean (total + 1) / 2, whatever the ties.
    centred = [(mid_ranks(weights, v) - (total + 1) / 2) / total for v in variables]
    ranks = np.stack(centred, axis=1)
    products = np.einsum("bin,bjn,bn->bij", ranks, ranks, weights, optimize=True)
    own = np.diagonal(products, axis1=1, axis2=2)[:, :2]
    varies = np.asarray(np.all(own > 0, axis=1))
    return products * varies[:, None, None]


def _partial_correlation(products: Floats) -> Floats:
    """(B,) correlation of the first two variables given the others, from their products.

    Least squares on the others leaves ``P_aa − P_ac P_cc⁻¹ P_ca`` of the products.
    """
    own = products[:, :2, :2]
    if products.shape[1] > 2:
        shared = products[:, :2, 2:]
        # A pseudo-inverse, since covariates may be collinear or constant in a resample.
        inverse = np.linalg.pinv(products[:, 2:, 2:], hermitian=True)
        left = own - shared @ inverse @ shared.transpose(0, 2, 1)
    else:
        left = own
    variances = np.diagonal(left, axis1=1, axis2=2)
    before = np.diagonal(own, axis1=1, axis2=2)
    defined = np.asarray(np.all(variances > _NOTHING_LEFT * before, axis=1))
    scale = np.sqrt(np.where(defined[:, None], variances, 1.0).prod(axis=1))
    return np.where(defined, np.clip(left[:, 0, 1] / scale, -1, 1), np.nan)
