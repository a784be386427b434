"""The dose curve: accuracy by how much of the edited states is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from l2_harness.compare.causal.arms import CONTROLS, Where
from l2_harness.compare.causal.effects import LEVEL
from l2_harness.compare.causal.intervals import POINTS, RESAMPLES, means_of
from l2_harness.compare.causal.runs import Runs
from l2_harness.statistics.bootstrap import Floats
from l2_harness.statistics.estimate import Estimate
from l2_harness.statistics.significance import holm, sign_flip_p


@dataclass(frozen=True, eq=False)
class Trend:
    """A straight line through a dose curve, over the questions.

    Attributes:
        slope: points from keeping all to taking all away, with its interval.
        p: two-sided, of random signs of the questions' slopes.
        p_holm: corrected for all trends.
    """

    slope: Estimate
    p: float
    p_holm: float = float("nan")

    @property
    def claimed(self) -> bool:
        """Whether a trend may be spoken of."""
        return self.p_holm < LEVEL and self.slope.excludes_zero


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


def dose_curves(
    tasks: Sequence[Runs], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[DoseCurve]:
    """A curve a task and kind of states, of those with two doses or more; trends corrected."""
    curves = [curve for runs in tasks for curve in _curves_of(runs, resamples=resamples, seed=seed)]
    return _corrected(curves)


def _curves_of(runs: Runs, *, resamples: int, seed: int) -> list[DoseCurve]:
    places: tuple[Where, ...] = ("peaks", *CONTROLS)
    scores = {where: _scores(runs, where) for where in places}
    # plain and two doses are the least that a line can be drawn through
    scores = {where: of for where, of in scores.items() if len(of) > 2}
    slopes = {where: question_slopes(tuple(of), of) for where, of in scores.items()}
    apart: dict[Where, Floats] = {
        where: slopes["peaks"] - own
        for where, own in slopes.items()
        if where != "peaks" and list(scores.get("peaks", ())) == list(scores[where])
    }
    points = [of[factor] - of[1.0] for of in scores.values() for factor in of]
    columns = [*points, *slopes.values(), *apart.values()]
    found = iter(means_of(columns, POINTS, resamples=resamples, seed=seed))
    at = {where: tuple(next(found) for _ in of) for where, of in scores.items()}
    trends = {where: Trend(next(found), _sign_p(own, seed)) for where, own in slopes.items()}
    against = {where: Trend(next(found), _sign_p(own, seed)) for where, own in apart.items()}
    return [
        DoseCurve(runs.task, where, tuple(of), at[where], trends[where], against.get(where))
        for where, of in scores.items()
    ]


def _scores(runs: Runs, where: Where) -> dict[float, Floats]:
    """Factor → (Q,) scores, the plain arm at 1, falling."""
    found = {1.0: runs.plain.scores}
    for run in runs.edited:
        if run.arm.where == where and run.arm.mode == "scale":
            found[run.arm.factor] = run.scores
    return dict(sorted(found.items(), reverse=True))


def question_slopes(factors: Sequence[float], scores: dict[float, Floats]) -> Floats:
    """(Q,) least-squares slope of each question's score over what is taken away, 1 − factor."""
    taken = 1 - np.asarray(factors)
    centred = taken - taken.mean()
    columns = np.stack([scores[factor] for factor in factors], axis=1)
    return np.asarray(columns @ centred / (centred @ centred))


def _sign_p(slopes: Floats, seed: int) -> float:
    return float(sign_flip_p(slopes[:, None], seed=seed)[0])


def _corrected(curves: Sequence[DoseCurve]) -> list[DoseCurve]:
    trends = [t for c in curves for t in (c.trend, c.against_peaks) if t is not None]
    corrected = iter(holm([trend.p for trend in trends]))
    result = []
    for curve in curves:
        trend = replace(curve.trend, p_holm=float(next(corrected)))
        against = curve.against_peaks
        if against is not None:
            against = replace(against, p_holm=float(next(corrected)))
        result.append(replace(curve, trend=trend, against_peaks=against))
    return result
