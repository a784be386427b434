"""Which of a task's metrics and filters counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.outcomes import Aggregate
from l2_harness.lm_eval_files.runs import Run

#: One for all tasks, or by task: ``exact_match`` or ``exact_match,number``.
Metric = str | Mapping[str, str] | None


@dataclass(frozen=True)
class Chosen:
    """A metric under a filter.

    Attributes:
        name: of the metric.
        filter: its name; ``none`` where a task has none.
        place: of the filter among the task's.
        higher_is_better: of the metric.
    """

    name: str
    filter: str
    place: int
    higher_is_better: bool

    @property
    def key(self) -> str:
        """As result files write it."""
        return f"{self.name},{self.filter}"


def choose_metric(run: Run, task: str, wanted: Metric) -> Chosen:
    """The metric asked for, else the task's first under its first filter.

    Raises:
        ConfigError: the task has no such metric, or none at all.
    """
    if isinstance(wanted, Mapping):
        wanted = wanted.get(task)
    keys = _keys(run, task)
    if not keys:
        raise ConfigError(f"{run.path}: task {task!r} has no metric.")
    filters = list(dict.fromkeys(key.split(",", 1)[1] for key in keys))
    names = list(dict.fromkeys(key.split(",", 1)[0] for key in keys))
    listed = [name for name in _listed(run, task) if name in names]
    name, _, filter_ = (wanted or (listed or names)[0]).partition(",")
    found = [key for key in keys if key == f"{name},{filter_}" or (not filter_ and _is(key, name))]
    if not found:
        raise ConfigError(
            f"{run.path}: task {task!r} has no metric {wanted!r}. It has: {', '.join(keys)}."
        )
    name, filter_ = found[0].split(",", 1)
    return Chosen(name, filter_, filters.index(filter_), _higher_is_better(run, task, name))


def reported(run: Run, task: str, chosen: Chosen) -> Aggregate | None:
    """The figure of all questions, as the file has it."""
    table = run.table("results").get(task) or run.table("groups").get(task) or {}
    try:
        value = float(table[chosen.key])
    except (KeyError, TypeError, ValueError):
        return None
    try:
        stderr: float | None = float(table[f"{chosen.name}_stderr,{chosen.filter}"])
    except (KeyError, TypeError, ValueError):
        stderr = None
    return Aggregate(value, stderr, question_count(run, task))


def question_count(run: Run, task: str) -> int | None:
    """How many questions the task was limited to."""
    counts = run.table("n-samples").get(task)
    number = counts.get("effective") if isinstance(counts, Mapping) else None
    return int(number) if isinstance(number, int | float) else None


def _keys(run: Run, task: str) -> list[str]:
    """``metric,filter`` of a task, those of its first filter first."""
    results = run.table("results").get(task)
    if not isinstance(results, Mapping):
        return []
    keys = [k for k in results if "," in k and not k.split(",", 1)[0].endswith("_stderr")]
    order = [one.get("name") for one in _config(run, task, "filter_list")]
    last = len(order)
    return sorted(
        keys, key=lambda k: order.index(f) if (f := k.split(",", 1)[1]) in order else last
    )


def _listed(run: Run, task: str) -> list[str]:
    """Names of the task's metrics in its own order."""
    return [str(one.get("metric")) for one in _config(run, task, "metric_list")]


def _config(run: Run, task: str, name: str) -> Sequence[Mapping[str, Any]]:
    config = run.table("configs").get(task)
    listed = config.get(name) if isinstance(config, Mapping) else None
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _is(key: str, name: str) -> bool:
    return key.split(",", 1)[0] == name


def _higher_is_better(run: Run, task: str, name: str) -> bool:
    table = run.table("higher_is_better").get(task)
    found = table.get(name) if isinstance(table, Mapping) else None
    if found is None:
        own = [o for o in _config(run, task, "metric_list") if o.get("metric") == name]
        found = own[0].get("higher_is_better") if own else None
    return True if found is None else bool(found)
