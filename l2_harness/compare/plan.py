"""The cells of a suite's run: which of them are finished, and in which order the others run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from l2_harness.compare.cell_files import CellRecord, read_record
from l2_harness.compare.definition import cell_definition, changed_keys, is_same
from l2_harness.compare.sharing import shared_samples
from l2_harness.compare.suite import Cell, Suite, cells_of
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.errors import ConfigError
from l2_harness.config.model_args import own_arguments
from l2_harness.models.capabilities import capabilities


@dataclass(frozen=True, eq=False)
class PlannedCell:
    """A cell, and what is to be done about it.

    Attributes:
        folder: where its files are.
        definition: what its result depends on.
        record: of an earlier run, None where there is none.
        source: the planned cell that draws its samples, None where it draws them itself.
        draws_only: whether it is such a source, which stands in no table.
    """

    cell: Cell
    folder: Path
    definition: dict[str, Any]
    record: CellRecord | None
    source: PlannedCell | None = None
    draws_only: bool = False

    @property
    def finished(self) -> bool:
        """Whether its result is there."""
        record = self.record
        return record is not None and record.status == "done" and self.same_definition

    @property
    def same_definition(self) -> bool:
        """Whether what is there is of this definition."""
        return self.record is not None and is_same(self.record.definition, self.definition)

    @property
    def why(self) -> str:
        """One word or two on what is to be done."""
        if self.record is None:
            return "new"
        if not self.same_definition:
            changed = changed_keys(dict(self.record.definition), self.definition)
            return f"changed: {', '.join(changed)}"
        return {"running": "goes on", "failed": "failed before", "done": "done"}[self.record.status]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run of a suite does.

    Attributes:
        cells: all of the suite's cells, in the file's order.
        to_run: those that will run, sources of samples among them, in the order in which they do.
    """

    cells: list[PlannedCell]
    to_run: list[PlannedCell] = field(default_factory=list)


def make_plan(suite: Suite, out: Path, catalogue: TaskCatalogue, only: Sequence[str] = ()) -> Plan:
    """What is to be run of a suite into a folder.

    Args:
        suite: what to compare.
        out: where it goes.
        catalogue: of the suite's tasks.
        only: globs of cells, see :meth:`~l2_harness.compare.suite.Cell.matches`; others are
            left as they are.

    Raises:
        ConfigError: a glob that means no cell; a ``cell.json`` that is none.
    """
    cells = list(cells_of(suite))
    for pattern in only:
        if not any(cell.matches(pattern) for cell in cells):
            methods = ", ".join(dict.fromkeys(cell.group for cell in cells))
            raise ConfigError(f"--only {pattern!r} means no cell. Cells: {methods}.")
    sources: dict[str, PlannedCell] = {}
    for shared in shared_samples(cells, catalogue):
        source = _planned(shared.cell, out / "samples", catalogue, draws_only=True)
        sources |= dict.fromkeys(shared.users, source)
    planned = [
        _planned(cell, out / "cells", catalogue, source=sources.get(cell.name)) for cell in cells
    ]
    wanted = [
        p
        for p in planned
        if not p.finished and (not only or any(p.cell.matches(pattern) for pattern in only))
    ]
    return Plan(planned, _ordered(_with_sources(wanted)))


def _planned(cell: Cell, below: Path, catalogue: TaskCatalogue, **more: Any) -> PlannedCell:
    folder = below / cell.name
    return PlannedCell(cell, folder, cell_definition(cell, catalogue), read_record(folder), **more)


def _with_sources(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """The cells, each source that isn't finished right before the first that draws from it."""
    result: list[PlannedCell] = []
    for planned in cells:
        source = planned.source
        if source is not None and not source.finished and source not in result:
            result.append(source)
        result.append(planned)
    return result


def _ordered(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """By model, then by what has to be loaded, otherwise as they come."""
    keys = [_load_key(planned.cell) for planned in cells]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    models = {p.cell.model.name: i for i, p in reversed(list(enumerate(cells)))}
    pairs = zip(cells, keys, strict=True)
    return [
        p for p, k in sorted(pairs, key=lambda pk: (models[pk[0].cell.model.name], first[pk[1]]))
    ]


def _load_key(cell: Cell) -> str:
    """Equal for cells that can share what is loaded."""
    args = cell.args
    pools = capabilities(cell.model_class).pools_weights
    if pools:
        args = {k: v for k, v in args.items() if k not in own_arguments()}
    kind = "pooled" if pools else cell.model_class
    return json.dumps([kind, args], sort_keys=True, default=str)
