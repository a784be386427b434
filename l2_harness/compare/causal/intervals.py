"""Means of many columns with their intervals, all on the same resamples of the questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2_harness.statistics.bootstrap import Floats, Statistic, bootstrap
from l2_harness.statistics.estimate import Estimate

RESAMPLES = 2000
POINTS = 100.0
"""A score of 1 in points."""


def means_of(
    columns: Sequence[Floats],
    unit: float = 1.0,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Estimate]:
    """The mean of each of m columns (Q,), a value a question, with its 95 % interval.

    Args:
        columns: nan in one makes its mean unknown.
        unit: what means are multiplied by.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    if not columns:
        return []
    values = np.stack(columns, axis=1)

    def means(weights: Floats) -> Floats:
        return np.asarray(unit * (weights @ values) / weights.sum(axis=1, keepdims=True))

    return estimates(means, len(values), resamples=resamples, seed=seed)


def estimates(
    statistic: Statistic, questions: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Estimate]:
    """An estimate for each of m figures that a statistic gives of weights (B, Q), as (B, m)."""
    clusters = np.arange(questions)
    found = bootstrap(statistic, clusters, resamples=resamples, seed=seed)
    return [
        Estimate(float(value), float(low), float(high), questions, questions)
        for value, low, high in zip(*found, strict=True)
    ]
