"""A cell's files → its outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2_harness.compare.cell_files import CellRecord
from l2_harness.compare.outcomes import Outcome
from l2_harness.compare.suite import Cell


def cell_outcome(cell: Cell, folder: Path, record: CellRecord) -> Outcome:
    """What a cell that is done or has failed came to.

    A group's tasks are taken together: every question of them counts the same.
    """
    common: dict[str, Any] = {
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
        return Outcome(**common, error=record.error)
    (results_file,) = folder.glob("results_*.json")
    results = json.loads(results_file.read_text("utf-8"))
    scores: dict[str, float] = {}
    metric, higher = "", True
    samples = sorted(folder.glob("samples_*.jsonl"))
    for path in samples:
        task = path.name.removeprefix("samples_").rsplit("_", 1)[0]
        metric = _metric(results, task, cell.task.metric)
        higher = bool(results["higher_is_better"][task].get(metric.split(",")[0], True))
        prefix = f"{task}:" if len(samples) > 1 else ""
        scores |= {f"{prefix}{key}": value for key, value in _scores(path, metric).items()}
    return Outcome(**common, metric=metric, higher_is_better=higher, scores=scores)


def _metric(results: Mapping[str, Any], task: str, wanted: str | None) -> str:
    names = [
        name
        for name in results["results"][task]
        if "," in name and "_stderr" not in name.split(",")[0]
    ]
    for name in names:
        if wanted is None or wanted in (name, name.split(",")[0]):
            return name
    raise ValueError(f"task {task} has no metric {wanted!r}; it has {', '.join(names)}")


def _scores(path: Path, metric: str) -> dict[str, float]:
    name, filter_ = metric.split(",", 1)
    found = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            sample = json.loads(line)
            if sample["filter"] == filter_:
                found[sample["doc_hash"]] = float(sample[name])
    return found
