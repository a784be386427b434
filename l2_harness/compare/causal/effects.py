"""What is compared: every arm with plain, and peaks with their controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from l2_harness.compare.causal.arms import KEPT, PARTS
from l2_harness.compare.causal.runs import ArmRun, Runs
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Estimate, Floats
from l2_harness.statistics.intervals import mean_estimates
from l2_harness.statistics.paired import Contrasts, Difference, differences

LEVEL = 0.05
POINTS = 100.0
"""A score of 1 in points."""

Family = Literal["plain", "control", "part"]
"""What an arm is compared with: ``plain``; a ``control``, the same edit of other states; or the
other ``part``, direction against norm. Comparisons are corrected within each."""
FAMILIES: tuple[Family, ...] = get_args(Family)


@dataclass(frozen=True, eq=False)
class Effect:
    """An arm less another over the same questions.

    Attributes:
        task: whose.
        family: which comparisons it is corrected with, of all tasks.
        run, against: the two arms.
        points: the mean difference in hundredths of the metric.
        more, fewer: questions with a higher and with a lower score.
        least_p: what p could have come to at the least, had every response that the edits
            changed become wrong; nan where it isn't known how many they changed.
    """

    task: str
    family: Family
    run: ArmRun
    against: ArmRun
    points: Difference
    more: int
    fewer: int
    least_p: float

    @property
    def claimed(self) -> bool:
        """Whether a difference may be spoken of."""
        return self.points.excludes_zero

    @property
    def hopeless(self) -> bool:
        """Whether the edits changed too few responses for any claim."""
        return self.least_p >= LEVEL


def effects_of(tasks: Sequence[Runs], *, seed: int = 0) -> list[Effect]:
    """All comparisons, corrected; seed: of random signs."""
    return [effect for name in FAMILIES for effect in _family(tasks, name, seed)]


def plain_points(runs: Runs) -> Estimate:
    """The plain arm's accuracy in hundredths."""
    scores = runs.plain.scores[:, None]
    bounded = bool(((scores >= 0) & (scores <= 1)).all())
    (found,) = mean_estimates(scores, Design.of(len(scores)), 1 - LEVEL, bounded=bounded)
    return found.times(POINTS)


def _family(tasks: Sequence[Runs], family: Family, seed: int) -> list[Effect]:
    pairs = [(runs, *pair) for runs in tasks for pair in _pairs(runs, family)]
    contrasts = [
        Contrasts.of(_scores([run for run, _ in own]), _scores([against for _, against in own]))
        for runs in tasks
        if (own := _pairs(runs, family))
    ]
    found = differences(contrasts, level=1 - LEVEL, seed=seed)
    return [
        Effect(
            *(runs.task, family, run, against, difference.times(POINTS)),
            more=int((run.scores > against.scores).sum()),
            fewer=int((run.scores < against.scores).sum()),
            least_p=_least_p(run, against),
        )
        for (runs, run, against), difference in zip(pairs, found, strict=True)
    ]


def _scores(runs: Sequence[ArmRun]) -> Floats:
    """(Q, arms)."""
    return np.stack([run.scores for run in runs], axis=1)


def _pairs(runs: Runs, family: Family) -> list[tuple[ArmRun, ArmRun]]:
    """What is compared."""
    if family == "plain":
        return [(run, runs.plain) for run in runs.edited]
    if family == "control":
        peaks = [run for run in runs.edited if run.arm.where == "peaks"]
        return [(run, control) for run in peaks for control in runs.controls(run)]
    angle, norm = (runs.get("peaks", mode, KEPT[mode]) for mode in PARTS)
    return [(angle, norm)] if angle is not None and norm is not None else []


def _least_p(run: ArmRun, against: ArmRun) -> float:
    """Of n answers that can differ, all to one side: 2·(1/2)^n."""
    changed = np.stack([run.changed, against.changed])
    if np.isnan(changed[0]).any():
        return float("nan")
    # of two arms those differ at most that either changed; the plain arm changed none
    can_differ = int((np.nan_to_num(changed) > 0).any(axis=0).sum())
    return float(min(1.0, 2.0 ** (1 - can_differ)))
