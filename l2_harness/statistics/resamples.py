"""The same resamples of the questions for every figure, and the p values that they give."""

from __future__ import annotations

import numpy as np

from l2_harness.statistics.bootstrap import Floats, cluster_weights

#: A coefficient of 1 has no finite z.
_ALMOST_ONE = 1 - 1e-12


class Resamples:
    """The same resamples of the questions for every figure.

    Args:
        question: (n,) labels.
        resamples: how many.
        seed: of the resampling.
    """

    def __init__(self, question: np.ndarray, resamples: int, seed: int) -> None:
        self.labels, self.question = np.unique(np.asarray(question), return_inverse=True)
        rng = np.random.default_rng(seed)
        #: (1 + B, Q); the first row is the questions as they are.
        self.weights = np.ones((resamples + 1, len(self.labels)))
        self.weights[1:] = cluster_weights(np.arange(len(self.labels)), resamples, rng)

    def sums(self, contributions: Floats) -> Floats:
        """(1 + B, ...) of contributions (Q, ...)."""
        flat = contributions.reshape(len(contributions), -1)
        return np.asarray((self.weights @ flat).reshape(-1, *contributions.shape[1:]))


def z_test(drawn: Floats, questions: np.ndarray) -> Floats:
    """Two-sided p values of correlations, from their resamples.

    Args:
        drawn: (1 + B, C); the first is the data as they are.
        questions: (C,) how many questions each rests on.
    """
    from scipy.stats import t

    z = np.arctanh(np.clip(drawn, -_ALMOST_ONE, _ALMOST_ONE))
    with np.errstate(invalid="ignore", divide="ignore"):
        counted = np.isfinite(z[1:])
        n = np.maximum(counted.sum(axis=0), 1)
        mean = np.where(counted, z[1:], 0).sum(axis=0) / n
        spread = np.sqrt((np.where(counted, z[1:] - mean, 0) ** 2).sum(axis=0) / n)
        p = 2 * t.sf(np.abs(z[0] / spread), np.maximum(questions - 1, 1))
    # what is the same in every resample, such as a rate of none, has no error to go by
    return np.where((questions > 1) & (spread > 1e-9), p, np.nan)
