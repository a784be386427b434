"""The dose curve: accuracy by how much of the edited states is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from l2_harness.analysis.bootstrap import Estimate, Floats
from l2_harness.analysis.causal.arms import CONTROLS, Where
from l2_harness.analysis.causal.effects import LEVEL, RESAMPLES, mean_points
from l2_harness.analysis.causal.runs import Runs
from l2_harness.analysis.significance import holm, sign_flip_p


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
    scores = {where: _scores(runs, where) for where in ("peaks", *CONTROLS)}
    curves = []
    for where, of in scores.items():
        if len(of) < 3:  # plain and two doses
            continue
        factors = tuple(of)
        slopes = question_slopes(factors, of)
        points = tuple(
            mean_points(of[f] - of[1.0], resamples=resamples, seed=seed) for f in factors
        )
        peaks = scores["peaks"]
        against = None
        if where != "peaks" and tuple(peaks) == factors:
            apart = question_slopes(factors, peaks) - slopes
            against = _trend(apart, resamples, seed)
        trend = _trend(slopes, resamples, seed)
        curves.append(DoseCurve(runs.task, where, factors, points, trend, against))
    return curves


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


def _trend(slopes: Floats, resamples: int, seed: int) -> Trend:
    p = float(sign_flip_p(slopes[:, None], seed=seed)[0])
    return Trend(mean_points(slopes, resamples=resamples, seed=seed), p)


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
