"""All that was computed of one task's arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from l2_harness.compare.causal.arms import Where
from l2_harness.compare.causal.dose import DoseCurve, dose_curves
from l2_harness.compare.causal.edits import EditCount, PerEdit, edit_counts, per_edit
from l2_harness.compare.causal.effects import Effect, effects_of, plain_points
from l2_harness.compare.causal.runs import ArmRun, Runs, runs_of
from l2_harness.findings import least
from l2_harness.statistics.estimate import Estimate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Analysis:
    """What one task's arms came to.

    Attributes:
        runs: the arms.
        effects: of this task, corrected over all tasks.
        counts: what the arms did.
        per_edit: points an edit.
        curves: of doses.
        plain: the plain arm's accuracy in hundredths, with its interval.
    """

    runs: Runs
    effects: Sequence[Effect]
    counts: Sequence[EditCount]
    per_edit: Sequence[PerEdit]
    curves: Sequence[DoseCurve]
    plain: Estimate

    @property
    def questions(self) -> int:
        """That all arms have a score of."""
        return len(self.runs.questions)

    def claimed(self, effect: Effect) -> bool:
        """Whether a difference may be spoken of."""
        return effect.claimed and least.enough(self.questions)

    def against_plain(self, run: ArmRun | None) -> Effect | None:
        """An arm's difference to plain."""
        return self._effect("plain", run, self.runs.plain)

    def against_control(self, run: ArmRun | None, where: Where) -> Effect | None:
        """A peak arm's difference to one of its controls."""
        control = None if run is None else self.runs.arms.get(run.arm.twin(where).name)
        return self._effect("control", run, control)

    def count_of(self, run: ArmRun) -> EditCount | None:
        """The edits of an arm."""
        return next((count for count in self.counts if count.run is run), None)

    def _effect(self, family: str, run: ArmRun | None, against: ArmRun | None) -> Effect | None:
        wanted = (family, run, against)
        return next((e for e in self.effects if (e.family, e.run, e.against) == wanted), None)


def analyse(table: pd.DataFrame, *, seed: int = 0) -> list[Analysis]:
    """Everything that the arms say, task by task.

    Args:
        table: of answers, as :mod:`~l2_harness.compare.causal.runs` has it.
        seed: of random signs.

    Raises:
        ConfigError: a table that arms cannot be read from.
    """
    tasks = runs_of(table)
    effects = effects_of(tasks, seed=seed)
    curves = dose_curves(tasks, seed=seed)
    return [
        Analysis(
            runs,
            [effect for effect in effects if effect.task == runs.task],
            edit_counts(runs),
            per_edit(runs),
            [curve for curve in curves if curve.task == runs.task],
            plain_points(runs),
        )
        for runs in tasks
    ]
