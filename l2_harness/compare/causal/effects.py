"""Paired differences of accuracy: every arm against plain, and peaks against their controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from l2_harness.compare.causal.arms import KEPT, PARTS
from l2_harness.compare.causal.intervals import POINTS, RESAMPLES, means_of
from l2_harness.compare.causal.runs import ArmRun, Runs
from l2_harness.statistics.bootstrap import Floats
from l2_harness.statistics.estimate import Estimate
from l2_harness.statistics.significance import holm, mcnemar_exact, sign_flip_p

LEVEL = 0.05

Family = Literal["plain", "control", "part"]
"""What an arm is compared with: ``plain``; a ``control``, the same edit of other states; or the
other ``part``, direction against norm. p values are corrected within each."""
FAMILIES: tuple[Family, ...] = get_args(Family)


@dataclass(frozen=True, eq=False)
class Effect:
    """An arm less another over the same questions.

    Attributes:
        task: whose.
        family: which comparisons it is corrected with.
        run, against: the two arms.
        points: the mean difference in hundredths of the metric, with its interval.
        more, fewer: questions with a higher and with a lower score.
        p: two-sided; McNemar's exact one where all scores are 0 or 1, else of random signs.
        p_holm: corrected for all comparisons of the family, of all tasks.
        least_p: what p could have come to at the least, had every response that the edits
            changed become wrong, times the number of comparisons; nan where it isn't known how
            many they changed.
    """

    task: str
    family: Family
    run: ArmRun
    against: ArmRun
    points: Estimate
    more: int
    fewer: int
    p: float
    p_holm: float = float("nan")
    least_p: float = float("nan")

    @property
    def claimed(self) -> bool:
        """Whether a difference may be spoken of."""
        return self.p_holm < LEVEL and self.points.excludes_zero

    @property
    def hopeless(self) -> bool:
        """Whether the edits changed too few responses for any claim."""
        return self.least_p >= LEVEL


def effects_of(tasks: Sequence[Runs], *, resamples: int = RESAMPLES, seed: int = 0) -> list[Effect]:
    """All comparisons, corrected.

    Args:
        tasks: the arms of each task.
        resamples: of the bootstrap over questions.
        seed: of the bootstrap and of random signs.
    """
    found = [effect for runs in tasks for effect in _effects(runs, resamples=resamples, seed=seed)]
    return [effect for name in FAMILIES for effect in _corrected(found, name)]


def _effects(runs: Runs, *, resamples: int, seed: int) -> list[Effect]:
    pairs = _pairs(runs)
    differences = [run.scores - against.scores for _, run, against in pairs]
    points = means_of(differences, POINTS, resamples=resamples, seed=seed)
    return [
        Effect(
            runs.task,
            family,
            run,
            against,
            estimate,
            int((difference > 0).sum()),
            int((difference < 0).sum()),
            paired_p(run.scores, against.scores, seed=seed),
        )
        for (family, run, against), difference, estimate in zip(
            pairs, differences, points, strict=True
        )
    ]


def _pairs(runs: Runs) -> list[tuple[Family, ArmRun, ArmRun]]:
    """What is compared."""
    pairs: list[tuple[Family, ArmRun, ArmRun]] = []
    pairs += [("plain", run, runs.plain) for run in runs.edited]
    for run in runs.edited:
        if run.arm.where == "peaks":
            pairs += [("control", run, control) for control in runs.controls(run)]
    angle, norm = (runs.get("peaks", mode, KEPT[mode]) for mode in PARTS)
    if angle is not None and norm is not None:
        pairs.append(("part", angle, norm))
    return pairs


def paired_p(first: Floats, second: Floats, *, seed: int = 0) -> float:
    """Two-sided p of scores (Q,) and (Q,) of the same questions."""
    if np.isin([first, second], (0, 1)).all():
        return mcnemar_exact(first, second)
    return float(sign_flip_p((first - second)[:, None], seed=seed)[0])


def _corrected(effects: Sequence[Effect], family: str) -> list[Effect]:
    chosen = [effect for effect in effects if effect.family == family]
    corrected = holm([effect.p for effect in chosen])
    return [
        replace(effect, p_holm=float(p), least_p=_least_p(effect, len(chosen)))
        for effect, p in zip(chosen, corrected, strict=True)
    ]


def _least_p(effect: Effect, comparisons: int) -> float:
    """Of n answers that can differ, all to one side: 2·(1/2)^n."""
    changed = np.stack([effect.run.changed, effect.against.changed])
    if np.isnan(changed[0]).any():
        return float("nan")
    # of two arms those differ at most that either changed; the plain arm changed none
    can_differ = int((np.nan_to_num(changed) > 0).any(axis=0).sum())
    return float(min(1.0, comparisons * 2.0 ** (1 - can_differ)))
