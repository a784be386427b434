"""What tasks there are, read from the YAMLs alone: no data set is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l2_harness.config.errors import ConfigError, nearest

#: How the names of a task's other forms end, and what they are called.
FORMS = {"_direct": "direct", "_base": "base"}


@dataclass(frozen=True)
class TaskInfo:
    """One task, with its other forms.

    Attributes:
        name: of the thinking form.
        dataset: the hub's name, with the configuration after a colon.
        revision: as pinned, or None.
        split: which of the set's splits is evaluated.
        rows: documents on the hub, as the YAML says.
        metrics: in the YAML's order, the main one first.
        forms: the other ones, of ``direct`` and ``base``.
    """

    name: str
    dataset: str
    revision: str | None
    split: str
    rows: int | None
    metrics: tuple[str, ...]
    forms: tuple[str, ...]


@dataclass(frozen=True)
class GroupInfo:
    """One group and its direct members, tasks or groups."""

    name: str
    members: tuple[str, ...]


def list_tasks() -> list[TaskInfo]:
    """All tasks, other forms with the thinking one, by name."""
    configs = _configs()
    names = [name for name, config in configs.items() if "group" not in config]
    thinking = sorted(name for name in names if not name.endswith(tuple(FORMS)))
    return [
        _task_info(
            name, configs[name], tuple(word for end, word in FORMS.items() if name + end in names)
        )
        for name in thinking
    ]


def list_groups() -> list[GroupInfo]:
    """All groups, by name."""
    groups = ((name, config) for name, config in _configs().items() if "group" in config)
    return [GroupInfo(name, tuple(config["task"])) for name, config in sorted(groups)]


def benchmark_names(asked: list[str] | None = None) -> list[str]:
    """The benchmark tasks that names and groups stand for, all forms included.

    Args:
        asked: tasks or groups; every benchmark task where there are none.

    Raises:
        ConfigError: a name that is neither.
    """
    configs = _configs()
    known = [name for name, config in configs.items() if _has_gold(config) or "group" in config]
    if not asked:
        return sorted(name for name in known if _has_gold(configs[name]))
    for name in asked:
        if name not in known:
            match = nearest(name, known)
            hint = f"; did you mean {match!r}?" if match else "."
            raise ConfigError(f"{name!r} is no task here{hint} `l2-harness tasks list` shows all.")
    return list(dict.fromkeys(task for name in asked for task in _tasks_of(name, configs)))


def _tasks_of(name: str, configs: dict[str, dict[str, Any]]) -> list[str]:
    config = configs.get(name, {})
    if "group" in config:
        return [task for member in config["task"] for task in _tasks_of(member, configs)]
    return [name] if _has_gold(config) else []


def _has_gold(config: dict[str, Any]) -> bool:
    """Whether it is one of our benchmark tasks, whose documents hold a gold answer."""
    return str(config.get("class", "")).endswith(".BenchmarkTask")


def _task_info(name: str, config: dict[str, Any], forms: tuple[str, ...]) -> TaskInfo:
    metadata = config.get("metadata", {})
    subset = config.get("dataset_name")
    path = config.get("dataset_path", "packaged")
    return TaskInfo(
        name=name,
        dataset=f"{path}:{subset}" if subset else path,
        revision=config.get("dataset_kwargs", {}).get("revision"),
        split=config["test_split"],
        rows=metadata.get("rows"),
        metrics=tuple(metric["metric"] for metric in config["metric_list"]),
        forms=forms,
    )


def _configs() -> dict[str, dict[str, Any]]:
    """Name -> YAML fields, functions unresolved, of every task and group of this project."""
    from lm_eval.tasks import TaskManager

    from l2_harness.paths import tasks_dir

    manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False)
    return {name: entry.cfg for name, entry in manager.task_index.items() if entry.cfg}
