"""The dose curve: accuracy by how much of the edited states is taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.compare.causal.arms import CONTROLS, Where
from l2_harness.compare.causal.effects import LEVEL, POINTS
from l2_harness.compare.causal.runs import Runs
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Estimate, Floats
from l2_harness.statistics.paired import Contrasts, Difference, differences


@dataclass(frozen=True, eq=False)
class Trend:
    """A straight line through a dose curve, over the questions.

    Attributes:
        slope: points from keeping all to taking all away, corrected for all trends.
    """

    slope: Difference

    @property
    def p(self) -> float:
        """Two-sided, of random signs of the questions' slopes."""
        return self.slope.p

    @property
    def p_corrected(self) -> float:
        """Corrected for all trends."""
        return self.slope.p_corrected

    @property
    def claimed(self) -> bool:
        """Whether a trend may be spoken of."""
        return self.slope.excludes_zero


@dataclass(frozen=True, eq=False)
class DoseCurve:
    """How the ``scale`` arms of one kind of states differ from plain.

    Attributes:
        task: whose.
        where: which states.
        factors: shares kept, from 1, which is the plain arm, down.
        points: of each factor, with intervals; 0 at 1.
        trend: of the whole curve.
        against_peaks: the peaks' slope less this one; None for peaks, and where they have other
            factors.
    """

    task: str
    where: Where
    factors: tuple[float, ...]
    points: tuple[Estimate, ...]
    trend: Trend
    against_peaks: Trend | None = None


@dataclass(frozen=True, eq=False)
class _Doses:
    """The dose curves of one task: kind of states → factor → (Q,) scores, and (Q,) slopes."""

    runs: Runs
    scores: Mapping[Where, Mapping[float, Floats]]
    slopes: Mapping[Where, Floats]

    @classmethod
    def of(cls, runs: Runs) -> _Doses:
        places: tuple[Where, ...] = ("peaks", *CONTROLS)
        scores = {where: _scores(runs, where) for where in places}
        # plain and two doses are the least that a line can be drawn through
        scores = {where: of for where, of in scores.items() if len(of) > 2}
        slopes = {where: question_slopes(tuple(of), of) for where, of in scores.items()}
        return cls(runs, scores, slopes)

    def apart(self) -> dict[Where, Floats]:
        """The peaks' slopes less those of each control with the same factors."""
        return {
            where: self.slopes["peaks"] - own
            for where, own in self.slopes.items()
            if where != "peaks" and list(self.scores.get("peaks", ())) == list(self.scores[where])
        }

    def columns(self) -> Floats:
        """(Q, m) of :attr:`slopes`, then of :meth:`apart`."""
        found = [*self.slopes.values(), *self.apart().values()]
        return np.stack(found, axis=1) if found else np.empty((len(self.runs.questions), 0))


def dose_curves(tasks: Sequence[Runs], *, seed: int = 0) -> list[DoseCurve]:
    """A curve a task and kind of states, of those with two doses or more; trends corrected."""
    doses = [_Doses.of(runs) for runs in tasks]
    contrasts = [_unbounded(one.columns()) for one in doses]
    slopes = iter(differences(contrasts, level=1 - LEVEL, seed=seed))
    curves = []
    for one in doses:
        trends = {where: Trend(next(slopes).times(POINTS)) for where in one.slopes}
        against = {where: Trend(next(slopes).times(POINTS)) for where in one.apart()}
        curves += [
            DoseCurve(
                *(one.runs.task, where, tuple(of), _points(of)),
                *(trends[where], against.get(where)),
            )
            for where, of in one.scores.items()
        ]
    return curves


def _unbounded(columns: Floats) -> Contrasts:
    single = np.zeros(columns.shape[1], dtype=bool)
    return Contrasts(columns, single, bounded=False, design=Design.of(len(columns)))


def _points(scores: Mapping[float, Floats]) -> tuple[Estimate, ...]:
    """Each factor's difference to plain, its own interval; 0 for plain itself, the first."""
    plain, *others = scores.values()
    columns = np.stack(others, axis=1)
    contrasts = Contrasts.of(columns, np.broadcast_to(plain[:, None], columns.shape))
    found = [one.times(POINTS).pointwise for one in differences(contrasts, level=1 - LEVEL)]
    return (Estimate(0.0, 0.0, 0.0, len(plain), len(plain)), *found)


def _scores(runs: Runs, where: Where) -> dict[float, Floats]:
    """Factor → (Q,) scores, the plain arm at 1, falling."""
    found = {1.0: runs.plain.scores}
    for run in runs.edited:
        if run.arm.where == where and run.arm.mode == "scale":
            found[run.arm.factor] = run.scores
    return dict(sorted(found.items(), reverse=True))


def question_slopes(factors: Sequence[float], scores: Mapping[float, Floats]) -> Floats:
    """(Q,) least-squares slope of each question's score over what is taken away, 1 − factor."""
    taken = 1 - np.asarray(factors)
    centred = taken - taken.mean()
    columns = np.stack([scores[factor] for factor in factors], axis=1)
    return np.asarray(columns @ centred / (centred @ centred))
