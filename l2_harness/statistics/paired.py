"""Methods' scores on the same questions, and tests of pairs of them.

Two tests. Where both methods have one right-or-wrong score a question (seeds that all agree count
as one), McNemar's exact test. Else, and for averages over tasks, the signs of the questions'
differences are flipped at random. Both take the question as the unit: whatever was averaged within
a question, seeds, repeats or samples, adds to the spread of its difference and is in the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from l2_harness.compare.leaderboard.options import Options
from l2_harness.statistics.bootstrap import Floats
from l2_harness.statistics.estimate import Estimate
from l2_harness.statistics.intervals import (
    mean_of_tasks,
    percentile_interval,
    resampled_means,
    tango,
    wilson,
)
from l2_harness.statistics.significance import holm, mcnemar_p, sign_flip_p

#: Differing questions below which drawing them again says too little: the few that differ may be
#: in a resample or not, and what could differ, but didn't, never is.
FEW = 10

Test = Literal["mcnemar", "sign-flip"]


@dataclass(frozen=True)
class Difference:
    """One method's score minus another's, on the same questions.

    Attributes:
        value: the mean difference, in the metric's unit.
        low, high: its interval at ``level``.
        level: what Holm's procedure tests this pair at, 1 − α / (pairs not yet rejected): with it
            the interval leaves out 0 just where the corrected test rejects.
        pointwise_low, pointwise_high: the interval without correction, at 1 − α.
        p, p_holm: two-sided, without and with correction.
        test: which.
        excludes_zero: whether test and interval both leave out 0, corrected.
        variance: of a question's difference, times the questions it stands for; over the number
            of questions it is the variance of ``value``.
        discordant: share of questions that only one of the two answers; None for averages.
    """

    value: float
    low: float
    high: float
    level: float
    pointwise_low: float
    pointwise_high: float
    p: float
    p_holm: float
    test: Test
    excludes_zero: bool
    variance: float
    discordant: float | None


@dataclass(frozen=True, eq=False)
class Paired:
    """M methods on the same Q questions.

    Attributes:
        values: (Q, M) a method's score of a question, the mean over its seeds.
        strata: (Q,) which task a question is of.
        options: how intervals and tests are made.
    """

    values: Floats
    strata: NDArray[np.int64]
    options: Options

    @property
    def questions(self) -> int:
        """Q."""
        return len(self.values)

    @cached_property
    def weights(self) -> Floats:
        """(Q,) what a question adds to the mean of the tasks' means; they sum to 1."""
        _, task, size = np.unique(self.strata, return_inverse=True, return_counts=True)
        return 1.0 / (len(size) * size[task])

    @cached_property
    def tasks(self) -> int:
        """How many strata."""
        return len(np.unique(self.strata))

    @cached_property
    def bounded(self) -> bool:
        """Whether all scores lie from 0 to 1."""
        return bool(((self.values >= 0) & (self.values <= 1)).all())

    @cached_property
    def binary(self) -> NDArray[np.bool_]:
        """(M,) whether a method's scores are simply right and wrong."""
        return np.asarray(np.isin(self.values, (0.0, 1.0)).all(axis=0))

    @cached_property
    def means(self) -> Floats:
        """(M,)."""
        return np.asarray(self.weights @ self.values)

    @cached_property
    def drawn(self) -> Floats:
        """(B, M) means of resampled questions, made where they are needed."""
        return resampled_means(self.values, self.strata, self.options.resamples, self.options.seed)

    @property
    def freedom(self) -> int:
        """Questions less tasks."""
        return self.questions - self.tasks

    @cached_property
    def scores(self) -> list[Estimate]:
        """(M,) means with their intervals: Wilson's for right and wrong, else resampled."""
        level, binary = self.options.level, self.binary
        low, high = np.full((2, len(self.means)), np.nan)
        if binary.any():
            by_task = self._by_task(self.values[:, binary])
            shares = np.array([own.mean(axis=0) for own in by_task])
            ends = [
                [wilson(share * n, n, level) for share in row]
                for row, n in zip(shares, map(len, by_task), strict=True)
            ]
            lows, highs = np.moveaxis(np.array(ends), -1, 0)
            low[binary], high[binary] = mean_of_tasks(shares, lows, highs)
        if not binary.all():
            drawn = self.drawn[:, ~binary]
            low[~binary], high[~binary] = percentile_interval(drawn, level, self.freedom)
            if self.bounded:
                low, high = np.maximum(low, 0.0), np.minimum(high, 1.0)
        return [
            Estimate(float(v), float(a), float(b), self.questions, self.questions)
            for v, a, b in zip(self.means, low, high, strict=True)
        ]

    def differences(self, pairs: Sequence[tuple[int, int]]) -> list[Difference]:
        """A family of comparisons, corrected for how many there are.

        Args:
            pairs: (first, second) columns of ``values``.
        """
        if not pairs:
            return []
        first, second = (np.array(side) for side in zip(*pairs, strict=True))
        by_question = self.values[:, first] - self.values[:, second]
        both_binary = self.binary[first] & self.binary[second]
        exact = both_binary & (self.tasks == 1)
        p = np.empty(len(pairs))
        better, worse = (by_question > 0).sum(0), (by_question < 0).sum(0)
        p[exact] = mcnemar_p(better[exact], worse[exact])
        p[~exact] = self._flipped(by_question[:, ~exact])
        p_holm = holm(p)
        rejected = p_holm <= self.options.alpha
        levels = holm_levels(p, rejected, self.options.alpha)
        # Both levels at once: the corrected one, then the one without correction.
        low, high = self._ends(
            np.concatenate([by_question, by_question], axis=1),
            np.concatenate([first, first]),
            np.concatenate([second, second]),
            np.concatenate([both_binary, both_binary]),
            np.concatenate([levels, np.full(len(pairs), self.options.level)]),
        )
        # An exact test is stricter than a score interval, and flips than resamples.
        low, high = _touching_zero(low, high, np.concatenate([rejected, p <= self.options.alpha]))
        low, plain_low = np.split(low, 2)
        high, plain_high = np.split(high, 2)
        variance = self._variance(by_question)
        values = self.weights @ by_question
        return [
            Difference(
                value=float(values[i]),
                low=float(low[i]),
                high=float(high[i]),
                level=float(levels[i]),
                pointwise_low=float(plain_low[i]),
                pointwise_high=float(plain_high[i]),
                p=float(p[i]),
                p_holm=float(p_holm[i]),
                test="mcnemar" if exact[i] else "sign-flip",
                excludes_zero=bool(rejected[i] and (low[i] > 0 or high[i] < 0)),
                variance=float(variance[i]),
                discordant=float((better[i] + worse[i]) / self.questions) if exact[i] else None,
            )
            for i in range(len(pairs))
        ]

    def _flipped(self, by_question: Floats) -> Floats:
        """Sign-flip p of weighted differences; questions without any say nothing."""
        if not by_question.shape[1]:
            return np.empty(0)
        telling = (by_question != 0).any(axis=1)
        weighted = by_question[telling] * self.weights[telling, None] * self.questions
        return sign_flip_p(weighted, flips=self.options.flips, seed=self.options.seed)

    def _ends(
        self,
        by_question: Floats,
        first: NDArray[np.int64],
        second: NDArray[np.int64],
        both_binary: NDArray[np.bool_],
        level: Floats,
    ) -> tuple[Floats, Floats]:
        low, high = np.full(len(first), np.nan), np.full(len(first), np.nan)
        few = (by_question != 0).sum(axis=0) < FEW
        closed = both_binary | (few & self.bounded)
        drawn = ~closed & (by_question != 0).any(axis=0)
        if closed.any():
            low[closed], high[closed] = self._closed_ends(by_question[:, closed], level[closed])
        if drawn.any():
            differences = self.drawn[:, first[drawn]] - self.drawn[:, second[drawn]]
            low[drawn], high[drawn] = percentile_interval(differences, level[drawn], self.freedom)
        return low, high

    def _closed_ends(self, by_question: Floats, level: Floats) -> tuple[Floats, Floats]:
        """Tango's interval in each task. A part of an answer counts as that part of a question:
        a difference within 1 has no larger variance than whole answers of the same sums.
        """
        values, lows, highs = [], [], []
        for own in self._by_task(by_question):
            better, worse = np.maximum(own, 0).sum(axis=0), np.maximum(-own, 0).sum(axis=0)
            ends = tango(better, worse, len(own), level)
            values.append(own.mean(axis=0))
            lows.append(ends[0])
            highs.append(ends[1])
        return mean_of_tasks(np.array(values), np.array(lows), np.array(highs))

    def _by_task(self, values: Floats) -> list[Floats]:
        return [values[self.strata == task] for task in np.unique(self.strata)]

    def _variance(self, by_question: Floats) -> Floats:
        """See :class:`Difference`. Where few questions differ, half a question more is taken to:
        a variance of 0 would say that no question ever could.
        """
        few = ((by_question != 0).sum(axis=0) < FEW) & self.bounded
        total = np.zeros(by_question.shape[1])
        shares = (self.weights[self.strata == task] ** 2 for task in np.unique(self.strata))
        for own, share in zip(self._by_task(by_question), shares, strict=True):
            n = len(own)
            seen = own.var(axis=0, ddof=1) if n > 1 else np.zeros(own.shape[1])
            smoothed = (np.abs(own).sum(axis=0) + 0.5) / (n + 1)
            total += np.where(few, smoothed, seen) * float(share.sum())
        return total * self.questions


def holm_levels(p: Floats, rejected: NDArray[np.bool_], alpha: float) -> Floats:
    """(m,) the level of the interval that goes with each test of Holm's procedure.

    The k-th smallest p is held against α / (m − k + 1) while all before it were rejected; those
    from the first that is not are held against that one's.
    """
    m = len(p)
    steps = np.empty(m)
    steps[np.argsort(p, kind="stable")] = alpha / np.arange(m, 0, -1)
    stopped = alpha / max(m - int(rejected.sum()), 1)
    return np.asarray(1 - np.where(rejected, steps, stopped))


def _touching_zero(low: Floats, high: Floats, rejected: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Ends moved to 0 where the test doesn't reject it and the interval left it out."""
    low = np.where(~rejected & (low > 0), 0.0, low)
    return low, np.where(~rejected & (high < 0), 0.0, high)
