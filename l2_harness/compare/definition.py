"""What determines a cell's result, and the digest by which a finished cell is known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from l2_harness import __version__
from l2_harness.compare.suite import Cell
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.model_args import affecting
from l2_harness.engines.model_files import model_files
from l2_harness.models.capabilities import capabilities
from l2_harness.models.recorded_runs import MODEL_FILES, WEIGHTS
from l2_harness.paths import expanded


def cell_definition(cell: Cell, catalogue: TaskCatalogue) -> dict[str, Any]:
    """Everything that a cell's result depends on, as plain values for JSON.

    Not in it: names, roles, the metric (it is read from files that hold all), the device, and
    a batch size that the model or the suite sets, which may have to change for memory's sake.
    One that a method sets is what that method is there for, and counts.
    """
    task = cell.task
    definition: dict[str, Any] = {
        "model_class": cell.model_class,
        "args": affecting(cell.args, "responses", "choice", "setup"),
        WEIGHTS: _weights(cell.args),
        MODEL_FILES: _model_files(cell.args),
        "task": task.task,
        "task_config": _digest(catalogue.describe(task.task)),
        "limit": task.limit,
        "num_fewshot": task.num_fewshot,
        "apply_chat_template": task.apply_chat_template,
        "system_instruction": task.system_instruction,
        "fewshot_as_multiturn": task.fewshot_as_multiturn,
        "gen_kwargs": cell.gen_kwargs,
        "metadata": dict(task.metadata),
        "batch_size": cell.method.batch_size,
        "seed": cell.seed,
        "lm_eval": version("lm_eval"),
    }
    if capabilities(cell.model_class).records:
        definition["l2_harness"] = __version__
    plain: dict[str, Any] = json.loads(json.dumps(definition, default=str))
    return plain


def is_same(record: Mapping[str, Any], definition: Mapping[str, Any]) -> bool:
    """Whether a finished cell is of this definition; one that is old, by what it knew."""
    known = {k: v for k, v in definition.items() if k != MODEL_FILES or k in record}
    return definition_digest(dict(record)) == definition_digest(known)


def definition_digest(definition: dict[str, Any]) -> str:
    """16 hex digits, whatever the order of keys."""
    return _digest(definition)


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names of what differs between two definitions, those of args one by one."""
    names = []
    for key in sorted({*before, *now}):
        if key == (WEIGHTS if MODEL_FILES in before else MODEL_FILES):  # the files tell more
            continue
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            names += [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
        else:
            names.append(key)
    return names


def _weights(args: Mapping[str, Any]) -> str | None:
    """A fingerprint of a local folder's weight files; a hub's model is told by its revision."""
    from l2_harness.engines.hf.loading import model_fingerprint

    folder = _local_folder(args)
    return None if folder is None else model_fingerprint(folder, None)


def _model_files(args: Mapping[str, Any]) -> dict[str, str]:
    """Digests of what lies in folders here; a hub's repository is told by its revision."""
    found = model_files({**args, "pretrained": _local_folder(args)})
    return {name: digest for name, digest in found.items() if "/" in name}


def _local_folder(args: Mapping[str, Any]) -> str | None:
    pretrained = args.get("pretrained")
    if not isinstance(pretrained, str):
        return None
    from l2_harness.engines.hf.loading import resolve_pretrained
    from l2_harness.paths import DEMO_MODEL

    if pretrained == DEMO_MODEL or expanded(pretrained).is_dir():
        return str(resolve_pretrained(pretrained, args))
    return None


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
