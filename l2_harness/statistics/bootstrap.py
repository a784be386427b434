"""Percentile intervals by resampling questions.

Responses to one question are not independent, so a resample draws whole questions (clusters)
with replacement. A resample is kept as weights, how often each response is in it, which lets a
statistic work on many resamples at once; `scipy.stats.bootstrap` knows neither clusters nor
weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l2_harness.statistics.estimate import Estimate

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From weights (resamples, responses) to values (resamples, ...); nan where undefined."""

#: Resamples worked on at once: their weights and ranks then stay in a core's cache.
_CHUNK = 100


def cluster_weights(
    clusters: ArrayLike, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How often each response is in each resample of the questions.

    Args:
        clusters: (n,) the question of each response, any labels.
        resamples: how many resamples, B.
        rng: where the randomness comes from.

    Returns:
        (B, n) float64; responses to one question have equal weights, and the weights of the
        questions add up to the number of questions.
    """
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    n_clusters = int(member.max()) + 1
    counts = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=resamples)
    return counts[:, member].astype(np.float64)


def bootstrap(
    statistic: Statistic,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Floats, Floats, Floats]:
    """A statistic with its question-clustered percentile interval.

    Args:
        statistic: takes weights (B, n), gives (B, ...); all ones are the data as they are.
        clusters: (n,) the question of each response.
        resamples: how many; those in which the statistic is undefined are left out.
        level: the share that the interval covers.
        seed: of the resampling.

    Returns:
        The value, the lower and the upper end, each of the statistic's shape. The ends are nan
        where more than a tenth of the resamples are undefined.
    """
    clusters = np.asarray(clusters)
    value = statistic(np.ones((1, len(clusters))))[0]
    if len(np.unique(clusters)) < 2:
        nothing = np.full_like(value, np.nan)
        return value, nothing, nothing
    rng = np.random.default_rng(seed)
    sizes = [min(_CHUNK, resamples - start) for start in range(0, resamples, _CHUNK)]
    drawn = np.concatenate([statistic(cluster_weights(clusters, size, rng)) for size in sizes])
    return value, *percentile_interval(drawn, level)


def percentile_interval(drawn: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """The ends of the middle ``level`` of the resamples' values.

    Args:
        drawn: (B, ...), nan where a resample is undefined.
        level: the share that the interval covers.

    Returns:
        Two of shape (...); nan where more than a tenth of the resamples are undefined.
    """
    defined = np.isfinite(drawn).mean(axis=0) >= 0.9
    # An undefined column would make nanquantile warn; its zeros are masked below.
    kept = np.where(defined, drawn, 0.0)
    ends = [(1 - level) / 2, (1 + level) / 2]
    # numpy's way round nan takes far longer
    quantile = np.quantile if np.isfinite(kept).all() else np.nanquantile
    low, high = quantile(kept, ends, axis=0)
    return np.where(defined, low, np.nan), np.where(defined, high, np.nan)


def estimate(
    statistic: Statistic,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """:func:`bootstrap` of a statistic that gives one number a resample."""
    clusters = np.asarray(clusters)
    value, low, high = bootstrap(statistic, clusters, resamples=resamples, level=level, seed=seed)
    return Estimate(float(value), float(low), float(high), len(clusters), len(np.unique(clusters)))
