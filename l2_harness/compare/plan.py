"""The cells of a suite's run: which of them are finished, and in which order the others run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from l2_harness.compare.cell_files import CellRecord, read_record
from l2_harness.compare.definition import (
    cell_definition,
    changed_keys,
    definition_digest,
    is_same,
)
from l2_harness.compare.shards import WHOLE, Shard
from l2_harness.compare.sharing import shared_samples
from l2_harness.compare.suite import Cell, Suite, cells_of
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.errors import ConfigError
from l2_harness.config.interventions import read_interventions
from l2_harness.config.looping import LoopingConfig
from l2_harness.config.model_args import own_arguments
from l2_harness.config.options import option_names
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
        matched: the planned cell whose edits its random controls match, None for none.
    """

    cell: Cell
    folder: Path
    definition: dict[str, Any]
    record: CellRecord | None
    source: PlannedCell | None = None
    draws_only: bool = False
    matched: PlannedCell | None = None

    @property
    def finished(self) -> bool:
        """Whether its result is there."""
        record = self.record
        return record is not None and record.status == "done" and self.same_definition

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        record = self.record
        return record is not None and record.status == "failed" and self.same_definition

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
        cells: all of the suite's cells, or a shard's, in the file's order.
        to_run: those that will run, sources of samples among them, in the order in which they do.
    """

    cells: list[PlannedCell]
    to_run: list[PlannedCell] = field(default_factory=list)


def make_plan(
    suite: Suite,
    out: Path,
    catalogue: TaskCatalogue,
    only: Sequence[str] = (),
    shard: Shard = WHOLE,
) -> Plan:
    """What is to be run of a suite into a folder.

    Args:
        suite: what to compare.
        out: where it goes.
        catalogue: of the suite's tasks.
        only: globs of cells, see :meth:`~l2_harness.compare.suite.Cell.matches`; others are
            left as they are.
        shard: the share of the suite's cells that this run has.

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
        source = _planned(suite, shared.cell, out / "samples", catalogue, draws_only=True)
        sources |= dict.fromkeys(shared.users, source)
    planned = shard.of_cells(
        _matched(
            [
                _planned(suite, cell, out / "cells", catalogue, source=sources.get(cell.name))
                for cell in cells
            ]
        )
    )
    wanted = [
        p
        for p in planned
        if not p.finished and (not only or any(p.cell.matches(pattern) for pattern in only))
    ]
    return Plan(planned, _ordered(_with_sources(wanted)))


def _planned(
    suite: Suite, cell: Cell, below: Path, catalogue: TaskCatalogue, **more: Any
) -> PlannedCell:
    folder, definition = below / cell.name, cell_definition(cell, catalogue)
    if suite.strict:
        definition["strict"] = True
    return PlannedCell(cell, folder, definition, read_record(folder), **more)


def _matched(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """The cells with those that they match, on which their results depend, too."""
    of = {planned.cell.name: planned for planned in cells}
    found = []
    for planned in cells:
        cell = planned.cell.matched(one.cell for one in cells)
        if cell is not None:
            matched = of[cell.name]
            definition = {**planned.definition, "matches": definition_digest(matched.definition)}
            planned = replace(planned, definition=definition, matched=matched)
        found.append(planned)
    return found


def _with_sources(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """The cells, what each needs and isn't finished before it: samples, a run that it matches."""
    result: list[PlannedCell] = []
    for planned in cells:
        for needed in (planned.source, planned.matched):
            if needed is not None and not needed.finished and needed not in result:
                result.append(needed)
        if planned not in result:
            result.append(planned)
    return result


def _ordered(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """By model, then by what has to be loaded, otherwise as they come.

    Of those that share an engine of vLLM the ones with techniques come first: their places are
    compiled into it, and an engine that has them serves the others too.
    """
    keys = [_load_key(planned.cell) for planned in cells]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    models = {p.cell.model.name: i for i, p in reversed(list(enumerate(cells)))}

    def place(pair: tuple[PlannedCell, str]) -> tuple[int, int, bool]:
        cell, key = pair[0].cell, pair[1]
        compiled = capabilities(cell.model_class).pool == "vllm"
        later = compiled and not read_interventions(cell.args).enabled
        return models[cell.model.name], first[key], later

    return [planned for planned, _ in sorted(zip(cells, keys, strict=True), key=place)]


def _load_key(cell: Cell) -> str:
    """Equal for cells that can share what is loaded."""
    args = cell.args
    pool = capabilities(cell.model_class).pool
    if pool is not None:
        # what is recorded, and which layers run again, is compiled
        built_in = ("layers", *option_names(LoopingConfig)) if pool == "vllm" else ()
        ours = own_arguments().keys() - set(built_in)
        args = {k: v for k, v in args.items() if k not in ours}
    kind = f"pooled by {pool}" if pool is not None else cell.model_class
    return json.dumps([kind, args], sort_keys=True, default=str)
