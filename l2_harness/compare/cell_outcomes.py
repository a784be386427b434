"""A cell's files → its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2_harness.compare.cell_files import CellRecord
from l2_harness.compare.suite import Cell
from l2_harness.lm_eval_files.outcomes import Outcome


def cell_outcome(cell: Cell, folder: Path, record: CellRecord) -> Outcome:
    """What a cell that is done or has failed came to.

    Args:
        cell: which one it is; its names, role and metric are the suite's, whatever they were when
            it ran.
        folder: where its files are.
        record: what its ``cell.json`` says.

    Raises:
        ConfigError: lm-eval's files are gone or damaged; the metric is not in them.
    """
    from l2_harness.lm_eval_files import from_folders

    own: dict[str, Any] = {
        "model": cell.model.name,
        "task": cell.task.name,
        "method": cell.method.name,
        "seed": cell.seed,
        "role": cell.method.role,
        "cost": record.cost,
        "folder": folder,
        "settings": {**record.definition, "batch_size": record.batch_size, "device": record.device},
    }
    if record.status == "failed":
        return Outcome(**own, error=record.error)
    found = from_folders([folder], metric=cell.task.metric)
    return replace(found[0] if len(found) == 1 else _together(found), **own)


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    """The tasks of a tag as one: every question of them counts the same."""
    without = [outcome.task for outcome in outcomes if not outcome.scores]
    scores = {f"{o.task}:{question}": s for o in outcomes for question, s in o.scores.items()}
    return replace(
        outcomes[0],
        scores={} if without else scores,
        aggregate=None,
        error=f"no scores of single questions: {', '.join(without)}" if without else None,
        notes=[note for outcome in outcomes for note in outcome.notes],
    )
