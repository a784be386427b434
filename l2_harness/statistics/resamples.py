"""The same resamples of the questions for every figure, and what follows from how they differ.

Responses to one question are not independent, so a resample draws whole questions (clusters)
with replacement. It is kept as weights, how often each is in it, which lets a statistic work on
many resamples at once; `scipy.stats.bootstrap` knows neither clusters nor weights.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.estimate import Estimates, Floats
from l2_harness.statistics.intervals import student

#: Weights that are worked on as floats at a time.
_AT_ONCE = 1 << 22


class Resamples:
    """Resamples of questions.

    Args:
        question: (n,) labels, a response each.
        resamples: how many, B.
        seed: of the resampling.
    """

    def __init__(self, question: ArrayLike, resamples: int, seed: int) -> None:
        self.labels, self.question = np.unique(np.asarray(question), return_inverse=True)
        n, rng = len(self.labels), np.random.default_rng(seed)
        #: (1 + B, Q); the first row is the questions as they are, each counting once. A byte
        #: each, since of a million questions they are thousands of millions, and none above 20.
        self.weights = np.ones((resamples + 1, n), dtype=np.uint8)
        for some in self._some():
            drawn = self.weights[1:][some]
            drawn[:] = rng.multinomial(n, np.full(n, 1 / n), size=len(drawn))

    @property
    def of_responses(self) -> Floats:
        """(1 + B, n) how often each response is in each resample."""
        return self.weights[:, self.question].astype(np.float64)

    def sums(self, contributions: Floats) -> Floats:
        """(1 + B, ...) of contributions (Q, ...)."""
        flat = contributions.reshape(len(contributions), -1)
        found = np.empty((len(self.weights), flat.shape[1]))
        for some in self._some():
            np.matmul(self.weights[some].astype(np.float64), flat, out=found[some])
        return found.reshape(-1, *contributions.shape[1:])

    def _some(self) -> list[slice]:
        """Of the resamples, so many as are worked on at a time."""
        count, questions = self.weights.shape
        step = max(_AT_ONCE // max(questions, 1), 1)
        return [slice(start, start + step) for start in range(0, count, step)]


#: A deviation that is no larger is what sums of floats leave over, and no measure of certainty.
NO_SPREAD = 1e-9


def association(
    drawn: Floats,
    freedom: ArrayLike,
    kind: Literal["correlation", "auroc"] = "correlation",
    level: float = 0.95,
) -> Estimates:
    """Interval and p of correlations, or of AUROCs, which are 2·AUROC − 1 on that scale.

    Both are Student's on Fisher's scale: tanh(z ± t·s), s the standard deviation of the resampled
    coefficients over 1 − r², times √(f + 1)/√f for f degrees of freedom, by which resampling is too
    narrow. Percentiles of few questions' resamples are narrower still, and Fisher's z of a resample
    that reaches ± 1 has no spread. Perfect agreement, which no resample breaks, is taken to be as
    uncertain as if one more question could have broken it; 1 − r² counts as twice the deviation at
    least.

    Args:
        drawn: (1 + B, ...) the data as they are, then their resamples; nan where undefined.
        freedom: of Student's distribution, such as questions less 1.
        kind: of coefficient.
        level: the share that an interval covers.
    """
    from scipy.special import stdtr

    r = drawn if kind == "correlation" else 2 * drawn - 1
    freedom = np.broadcast_to(np.asarray(freedom, dtype=float), r.shape[1:])
    deviation, defined = _deviation(r[1:])
    value = r[0]
    perfect = np.abs(value) > 1 - 1e-12
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.where(perfect, np.maximum(deviation, 1 / (freedom + 2)), deviation)
        defined &= np.isfinite(value) & (freedom >= 1) & (deviation > NO_SPREAD)
        room = np.maximum(1 - value**2, np.minimum(2 * deviation, 1.0))
        z = np.sign(value) * np.arctanh(np.sqrt(1 - room))
        error = np.where(defined, deviation / room * np.sqrt((freedom + 1) / freedom), np.nan)
        low, high = student(z, error, freedom, level)
        p = 2 * stdtr(freedom, -np.abs(z / error))
    low, high = np.minimum(np.tanh(low), value), np.maximum(np.tanh(high), value)
    low, high = np.where(defined, low, np.nan), np.where(defined, high, np.nan)
    if kind == "auroc":
        value, low, high = (1 + value) / 2, (1 + low) / 2, (1 + high) / 2
    return Estimates(value, low, high, np.where(defined, p, np.nan))


def _deviation(drawn: Floats) -> tuple[Floats, np.ndarray]:
    """Standard deviation of (B, ...), and whether nine tenths of the resamples are defined."""
    counted = np.isfinite(drawn)
    n = counted.sum(axis=0)
    whole = counted.all()
    held = drawn if whole else np.where(counted, drawn, 0.0)
    shifts = held - held.sum(axis=0) / np.maximum(n, 1)
    shifts = shifts if whole else shifts * counted
    deviation = np.sqrt(np.einsum("b...,b...->...", shifts, shifts) / np.maximum(n - 1, 1))
    return deviation, np.asarray(n >= 0.9 * len(drawn))
