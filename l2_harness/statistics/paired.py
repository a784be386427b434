"""Paired differences: the mean of one arm's scores less another's on the same questions.

The interval is Tango's at the effective number of questions (:mod:`~.intervals`). p is McNemar's,
exact, where both arms have one right-or-wrong score a question (seeds that all agree count as
one), questions are on their own and of one task; else questions', or clusters', differences get
random signs. Both take the question as the unit: whatever was averaged within a question, seeds,
repeats or samples, adds to the spread of its difference and is in the interval.

A family of comparisons is corrected by the largest of all statistics under the same random signs.
Its intervals are those at the level of the critical value that each difference is held against. An
exact test is stricter than a score interval: an end that leaves out 0 where the test doesn't reject
is moved to 0. So an interval that leaves out 0 is a verdict of both, corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Estimate, Floats
from l2_harness.statistics.intervals import difference_ends, mean_estimates
from l2_harness.statistics.significance import FLIPS, SignFlips, mcnemar_p

Test = Literal["mcnemar", "sign-flip"]


@dataclass(frozen=True)
class Difference(Estimate):
    """One arm's score less another's; ``low`` and ``high`` at the corrected level.

    Attributes:
        level: of the corrected interval.
        pointwise_low, pointwise_high: the interval without correction.
        p, p_corrected: two-sided, without and with correction.
        test: which.
        variance: of a question's difference, times the questions it stands for; over the number
            of questions it is the variance of ``value``.
        discordant: share of questions that only one of the two answers; None for averages.
    """

    level: float
    pointwise_low: float
    pointwise_high: float
    p: float
    p_corrected: float
    test: Test
    variance: float
    discordant: float | None

    @property
    def pointwise(self) -> Estimate:
        """With the interval of this difference alone."""
        ends = self.pointwise_low, self.pointwise_high
        return Estimate(self.value, *ends, self.responses, self.questions)

    def times(self, unit: float) -> Difference:
        """In another unit, such as points."""
        return replace(
            self,
            value=unit * self.value,
            low=unit * self.low,
            high=unit * self.high,
            pointwise_low=unit * self.pointwise_low,
            pointwise_high=unit * self.pointwise_high,
            variance=unit**2 * self.variance,
        )


@dataclass(frozen=True, eq=False)
class Contrasts:
    """m differences on the same Q questions.

    Attributes:
        by_question: (Q, m).
        single: (m,) whether both arms' scores are right and wrong.
        bounded: whether all scores lie from 0 to 1.
        design: of the questions.
    """

    by_question: Floats
    single: NDArray[np.bool_]
    bounded: bool
    design: Design

    @classmethod
    def of(cls, first: Floats, second: Floats, design: Design | None = None) -> Contrasts:
        """Of scores (Q, m) less scores (Q, m)."""
        both = np.stack([first, second])
        return cls(
            by_question=first - second,
            single=np.asarray(np.isin(both, (0.0, 1.0)).all(axis=(0, 1))),
            bounded=bool(((both >= 0) & (both <= 1)).all()),
            design=design or Design.of(len(first)),
        )

    @property
    def exact(self) -> NDArray[np.bool_]:
        """(m,) whether McNemar's test applies."""
        return self.single & self.design.is_simple


def differences(
    contrasts: Contrasts | Sequence[Contrasts],
    *,
    level: float = 0.95,
    flips: int = FLIPS,
    seed: int = 0,
) -> list[Difference]:
    """A family of comparisons, corrected for how many there are.

    Args:
        contrasts: of one set of questions, or of several that have nothing in common.
        level: of intervals; 1 − α.
        flips: of the signs; no sign-flip p is below 1 / (flips + 1).
        seed: of the signs.
    """
    parts = [contrasts] if isinstance(contrasts, Contrasts) else list(contrasts)
    parts = [part for part in parts if part.by_question.shape[1]]
    if not parts:
        return []
    sums = _blocks([part.design.sums(part.by_question) for part in parts])
    tested = SignFlips.of(sums, flips=flips, seed=seed)
    exact = np.concatenate([part.exact for part in parts])
    counts = np.concatenate([_counts(part) for part in parts], axis=1)
    p = np.where(exact, mcnemar_p(*counts), tested.p)
    p_corrected, levels = p, np.full(len(p), level)
    if len(p) > 1:
        from scipy.special import ndtr

        stepped, critical = tested.corrected(1 - level)
        p_corrected = np.maximum(stepped, p)
        levels = np.maximum(2 * ndtr(critical) - 1, level)
    columns = np.cumsum([0, *(part.by_question.shape[1] for part in parts)])
    own = [slice(*ends) for ends in pairwise(columns)]
    return [
        found
        for part, of in zip(parts, own, strict=True)
        for found in _described(part, p[of], p_corrected[of], levels[of], level)
    ]


def _counts(part: Contrasts) -> NDArray[np.int64]:
    """(2, m) questions with a higher, and with a lower score."""
    return np.stack([(part.by_question > 0).sum(axis=0), (part.by_question < 0).sum(axis=0)])


def _blocks(sums: Sequence[Floats]) -> Floats:
    """Side by side, each with rows of its own."""
    if len(sums) == 1:
        return sums[0]
    from scipy.linalg import block_diag

    return np.asarray(block_diag(*sums))


def _described(
    part: Contrasts, p: Floats, p_corrected: Floats, levels: Floats, level: float
) -> list[Difference]:
    """The differences of one set of questions."""
    values, design = part.by_question, part.design
    both = np.concatenate([values, values], axis=1)
    both_levels = np.concatenate([levels, np.full(len(p), level)])
    low, high = difference_ends(both, design, both_levels, bounded=part.bounded)
    rejected = np.concatenate([p_corrected, p]) <= 1 - level + 1e-12
    low = np.where(~rejected & (low > 0), 0.0, low).reshape(2, -1)
    high = np.where(~rejected & (high < 0), 0.0, high).reshape(2, -1)
    means, variance = design.means(values), _variance(part)
    discordant = _counts(part).sum(axis=0) / design.units
    return [
        Difference(
            value=float(means[i]),
            low=float(low[0, i]),
            high=float(high[0, i]),
            responses=design.units,
            questions=design.units,
            level=float(levels[i]),
            pointwise_low=float(low[1, i]),
            pointwise_high=float(high[1, i]),
            p=float(p[i]),
            p_corrected=float(p_corrected[i]),
            test="mcnemar" if part.exact[i] else "sign-flip",
            variance=float(variance[i]),
            discordant=float(discordant[i]) if part.exact[i] else None,
        )
        for i in range(len(p))
    ]


def _variance(part: Contrasts) -> Floats:
    """See :class:`Difference`. Where none differs, half a question is taken to: a variance of 0
    would say that no question ever could.
    """
    variance = part.design.variances(part.by_question)[0] * part.design.units
    assumed = 0.5 / (part.design.units + 1) if part.bounded else 0.0
    return np.where(variance > 0, variance, assumed)


@dataclass(frozen=True, eq=False)
class Paired:
    """M methods on the same Q questions.

    Attributes:
        values: (Q, M) a method's score of a question, the mean over its seeds.
        design: of the questions.
        level: of intervals, before correction.
        flips: of the signs.
        seed: of the signs.
    """

    values: Floats
    design: Design
    level: float = 0.95
    flips: int = FLIPS
    seed: int = 0

    @property
    def questions(self) -> int:
        """Q."""
        return len(self.values)

    @cached_property
    def bounded(self) -> bool:
        """Whether all scores lie from 0 to 1."""
        return bool(((self.values >= 0) & (self.values <= 1)).all())

    @cached_property
    def means(self) -> Floats:
        """(M,)."""
        return self.design.means(self.values)

    @cached_property
    def scores(self) -> list[Estimate]:
        """(M,) means with their intervals."""
        return mean_estimates(self.values, self.design, self.level, bounded=self.bounded)

    def differences(self, pairs: Sequence[tuple[int, int]]) -> list[Difference]:
        """A family of comparisons, corrected for how many there are.

        Args:
            pairs: (first, second) columns of ``values``.
        """
        if not pairs:
            return []
        first, second = (np.array(side) for side in zip(*pairs, strict=True))
        contrasts = Contrasts.of(self.values[:, first], self.values[:, second], self.design)
        contrasts = replace(contrasts, bounded=self.bounded)
        return differences(contrasts, level=self.level, flips=self.flips, seed=self.seed)
