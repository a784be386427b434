"""Which cells draw the same samples, so that these are decoded once and chosen from many times."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from l2_harness.compare.suite import Cell, Method
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.decoding import DecodingConfig, asks_to_sample
from l2_harness.config.interventions import read_interventions
from l2_harness.config.model_args import affecting
from l2_harness.config.options import read_options
from l2_harness.config.selection import SelectionConfig
from l2_harness.models.capabilities import capabilities
from l2_harness.norms.trace_hash import hash_prompt


@dataclass(frozen=True)
class SharedSamples:
    """Samples that several cells choose from.

    Attributes:
        cell: the run that draws them; of no table.
        users: names of the cells that choose from them.
    """

    cell: Cell
    users: frozenset[str]


def shared_samples(cells: Sequence[Cell], catalogue: TaskCatalogue) -> list[SharedSamples]:
    """The runs that draw for two cells or more, in the order of their first users."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        if _can_share(cell, catalogue):
            groups.setdefault((_sampling(cell), cell.seed), []).append(cell)
    return [
        _shared(key, group)
        for (key, _), group in groups.items()
        if len(group) > 1 and any(cell.num_samples > 1 for cell in group)
    ]


def sampled(cell: Cell, catalogue: TaskCatalogue) -> bool | None:
    """Whether its responses are drawn; None where only the model's own settings tell."""
    found = {_sampled(kwargs, cell) for kwargs in catalogue.generation_kwargs(cell.task.task)}
    return found.pop() if len(found) == 1 else None


def _sampled(task_kwargs: Mapping[str, Any], cell: Cell) -> bool | None:
    """As :func:`l2_harness.models.generation_settings.generation_settings` decides it."""
    kwargs = {**task_kwargs, **cell.gen_kwargs}
    if kwargs.get("do_sample") is not None:
        return asks_to_sample(kwargs["do_sample"])
    for temperature in (kwargs.get("temperature"), cell.args.get("temperature")):
        if temperature is not None:
            return float(temperature) > 0
    return None if cell.num_samples > 1 else False


def _can_share(cell: Cell, catalogue: TaskCatalogue) -> bool:
    """Interventions draw samples of their own, and a null run is there to be run."""
    can_take = capabilities(cell.model_class).takes_samples_from
    if not can_take or cell.method.role == "null" or cell.method.batch_size:
        return False
    recording = {k: v for k, v in cell.args.items() if k != "trace_dir"}
    if read_interventions(cell.args).enabled or recording.get("record") in ("off", False):
        return False
    if read_options(DecodingConfig, cell.args).decoding != "loop":
        return False
    return sampled(cell, catalogue) is not False and "samples_from" not in cell.args


def _sampling(cell: Cell) -> str:
    """What determines the samples of a cell besides its seed, as one text."""
    group = (cell.model.name, cell.task.name, _drawing(cell.args), cell.gen_kwargs)
    return json.dumps(group, sort_keys=True, default=str)


def _drawing(args: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some arguments that decide which samples are drawn."""
    return affecting(args, "responses", "setup")


def _shared(key: str, users: Sequence[Cell]) -> SharedSamples:
    most = max(users, key=lambda user: user.num_samples)
    args = _drawing(most.method.args)
    args["num_samples"] = most.num_samples
    if any(read_options(SelectionConfig, user.args).keeps_states for user in users):
        args["coe"] = True
    model = replace(most.model, args=_drawing(most.model.args))
    method = Method(
        name=f"samples-{hash_prompt(key)[:8]}",
        args=args,
        gen_kwargs=most.method.gen_kwargs,
        description=f"samples for {', '.join(dict.fromkeys(u.method.name for u in users))}",
        places=most.method.places,
        place=most.method.place,
    )
    cell = Cell(model, most.task, method, most.seed)
    return SharedSamples(cell, frozenset(user.name for user in users))
