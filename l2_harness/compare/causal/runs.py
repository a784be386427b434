"""A table of scores → arms over the same questions, which all statistics are of.

The table has a row an arm and question, with the columns

- ``arm``, ``question``, ``score``: needed; a score is the metric's, a mean of several responses;
- ``where`` (peaks, random, shuffled, or blank for none), ``mode``, ``factor``: what the arm edits;
- ``edits``, ``left``: states edited, and edits that a control was still behind, a response;
  ``edits_at_layer_<l>``: those at layer l;
- ``change``, ``places``: the sums, a response, of the edited states' ‖Δ‖/‖h‖ and rows;
- ``tokens``, ``truncated``: a response's length, and whether (1) the token limit ended it;
- ``changed``: whether (1) the responses are others than the plain arm's.

What isn't known is left out or nan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.compare.causal.arms import CONTROLS, PLAIN, Arm, Mode, Where
from l2_harness.config.errors import ConfigError
from l2_harness.statistics.estimate import Floats

if TYPE_CHECKING:
    import pandas as pd

#: Begins the columns of edits at one layer, whose number follows.
AT_LAYER = "edits_at_layer_"
_NEEDED = ("arm", "question", "score")
_NUMBERS = ("score", "edits", "left", "tokens", "truncated", "changed", "change", "places")


@dataclass(frozen=True, eq=False)
class ArmRun:
    """One arm's answers to Q questions.

    Attributes:
        arm: what it edits.
        scores: (Q,) in the metric's unit.
        edits, left, tokens, truncated, changed, change, places: (Q,), nan where not known.
        by_layer: layer → edits there, a response; empty where not known.
    """

    arm: Arm
    scores: Floats
    edits: Floats
    left: Floats
    tokens: Floats
    truncated: Floats
    changed: Floats
    change: Floats
    places: Floats
    by_layer: Mapping[int, float]

    @property
    def edited(self) -> bool:
        """Whether a state was edited at all, as far as is known."""
        return bool(np.nansum(self.edits) > 0)


@dataclass(frozen=True, eq=False)
class Runs:
    """All arms of one task.

    Attributes:
        task: its name.
        questions: Q keys, in the order of every array.
        arms: name → what it came to; the plain arm is among them.
        dropped: questions that not every arm has a score of.
    """

    task: str
    questions: tuple[str, ...]
    arms: Mapping[str, ArmRun]
    dropped: int = 0

    @property
    def plain(self) -> ArmRun:
        """What all are compared with."""
        return self.arms[PLAIN]

    @property
    def edited(self) -> list[ArmRun]:
        """Arms that edit something, without the sham."""
        return [run for run in self.arms.values() if run.arm.where and not run.arm.is_sham]

    @property
    def sham(self) -> ArmRun | None:
        """The arm that changes nothing, if there is one."""
        return next((run for run in self.arms.values() if run.arm.is_sham), None)

    def controls(self, run: ArmRun) -> list[ArmRun]:
        """The controls of an arm that edits peaks, those that were run."""
        names = [run.arm.twin(where).name for where in CONTROLS]
        return [self.arms[name] for name in names if name in self.arms]

    def peaks(self, run: ArmRun) -> ArmRun | None:
        """The arm that a control belongs to."""
        return self.arms.get(run.arm.twin("peaks").name)

    def get(self, where: Where, mode: Mode, factor: float) -> ArmRun | None:
        """An arm by what it does."""
        return self.arms.get(Arm.editing(where, mode, factor).name)


def runs_of(table: pd.DataFrame) -> list[Runs]:
    """The arms of each task of a table.

    Args:
        table: as the module says; a column ``task`` parts it, if there is one.

    Raises:
        ConfigError: a column is missing, a question comes twice in an arm, there is no plain
            arm, or no question that all arms have a score of.
    """
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise ConfigError(
            f"the table of answers lacks {', '.join(missing)}; it needs {', '.join(_NEEDED)}."
        )
    if "task" not in table:
        return [_one_task("", table)]
    return [_one_task(str(task), part) for task, part in table.groupby("task", sort=False)]


def _one_task(task: str, table: pd.DataFrame) -> Runs:
    where = f"task {task!r}" if task else "the table"
    twice = table.duplicated(["arm", "question"])
    if twice.any():
        row = table[twice].iloc[0]
        raise ConfigError(f"{where} has question {row.question!r} of arm {row.arm!r} twice.")
    scores = table.pivot(index="question", columns="arm", values="score")
    complete = scores.dropna()
    if PLAIN not in scores:
        raise ConfigError(f"{where} has no arm {PLAIN!r}, which all are compared with.")
    if complete.empty:
        raise ConfigError(f"{where} has no question that all of its arms have a score of.")
    arms = {
        str(name): _arm_run(str(name), part.set_index("question").loc[complete.index])
        for name, part in table.groupby("arm", sort=False)
    }
    return Runs(task, tuple(map(str, complete.index)), arms, len(scores) - len(complete))


def _arm_run(name: str, rows: pd.DataFrame) -> ArmRun:
    columns = {column: _numbers(rows, column) for column in _NUMBERS}
    first = rows.iloc[0]
    layers = {int(c.removeprefix(AT_LAYER)): c for c in rows if str(c).startswith(AT_LAYER)}
    means = {layer: float(rows[column].mean()) for layer, column in sorted(layers.items())}
    return ArmRun(_arm(name, first), scores=columns.pop("score"), by_layer=means, **columns)


def _numbers(rows: pd.DataFrame, column: str) -> Floats:
    if column not in rows:
        return np.full(len(rows), np.nan)
    return rows[column].to_numpy(dtype=np.float64, na_value=np.nan)


def _arm(name: str, row: Any) -> Arm:
    where = row.get("where")
    if not isinstance(where, str) or not where:
        return Arm(name)
    return Arm(name, where, row["mode"], float(row["factor"]))  # type: ignore[arg-type]
