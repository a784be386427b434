"""Which of a task's metrics and filters counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.outcomes import Aggregate
from l2_harness.lm_eval_files.runs import Run

#: One for all tasks, or by task: ``exact_match``, ``exact_match,number`` or ``number``.
Metric = str | Mapping[str, str] | None

NO_FILTER = "none"
#: Entries of a task's figures that are none.
_NO_FIGURES = frozenset({"alias", "name", "sample_count", "sample_len", "samples"})
#: What ``--predict_only`` puts in the place of every metric.
_NOTHING_SCORED = "bypass"


class NoMetricError(ConfigError):
    """Why a task has no figure to be compared by: the same words for the same reason."""


@dataclass(frozen=True)
class Chosen:
    """A metric under a filter.

    Attributes:
        key: as the result file writes it; before 0.4.0 was out, without a filter.
        place: of the filter among the task's.
        higher_is_better: of the metric.
    """

    key: str
    place: int
    higher_is_better: bool

    @property
    def name(self) -> str:
        """Of the metric."""
        return self.key.partition(",")[0]

    @property
    def filter(self) -> str:
        """Its name; ``none`` where a task has none."""
        return self.key.partition(",")[2] or NO_FILTER

    @property
    def label(self) -> str:
        """``metric,filter``."""
        return f"{self.name},{self.filter}"


def choose_metric(run: Run, task: str, wanted: str | None, like: str | None = None) -> Chosen:
    """The metric asked for, else the task's first under its first filter.

    Args:
        run: of lm-eval.
        task: one of its tasks or groups.
        wanted: a metric, ``metric,filter``, or a filter, whose first metric it then is.
        like: the task whose settings hold for a group, which has none of its own.

    Raises:
        NoMetricError: the task has no such metric, or none at all.
    """
    settings = like or task
    keys = figures_of(run, task, settings)
    if not keys:
        raise NoMetricError(_without(run, task))
    filters = list(dict.fromkeys(_parts(key)[1] for key in keys))
    names = dict.fromkeys(_parts(key)[0] for key in keys)
    listed = [name for name in _listed(run, settings) if name in names]
    first = (listed or list(names))[0]
    orders = [
        [key for key in keys if wanted is None and _parts(key)[0] == first],
        [key for key in keys if wanted and "," in wanted and _parts(key) == _parts(wanted)],
        [key for key in keys if _parts(key)[0] == wanted],
        [f"{first},{wanted}"] if f"{first},{wanted}" in keys else [],
        [key for key in keys if _parts(key)[1] == wanted],
    ]
    found = next((own[0] for own in orders if own), None)
    if found is None:
        raise NoMetricError(f"no metric {wanted!r}. It has: {', '.join(keys)}")
    name, filter_ = _parts(found)
    return Chosen(found, filters.index(filter_), _higher_is_better(run, settings, name))


def figures_of(run: Run, task: str, settings: str = "") -> list[str]:
    """``metric,filter`` of each figure of a task or group, those of its first filter first."""
    order = [one.get("name") for one in _config(run, settings or task, "filter_list")]
    last = len(order)
    keys = [
        key
        for key, value in _figures(run, task).items()
        if key not in _NO_FIGURES
        and key.strip()
        and not isinstance(value, dict | list)
        and not _parts(key)[0].endswith("_stderr")
        and _parts(key)[0] != _NOTHING_SCORED
    ]
    return sorted(keys, key=lambda k: order.index(f) if (f := _parts(k)[1]) in order else last)


def reported(run: Run, task: str, chosen: Chosen) -> Aggregate | None:
    """The figure of all questions, as the file has it; None where it is no finite number."""
    table = _figures(run, task)
    value = _number(table.get(chosen.key))
    if value is None:
        return None
    name, comma, filter_ = chosen.key.partition(",")
    return Aggregate(
        value, _number(table.get(f"{name}_stderr{comma}{filter_}")), question_count(run, task)
    )


def question_count(run: Run, task: str) -> int | None:
    """How many questions the task was limited to."""
    counts = run.table("n-samples").get(task)
    number = counts.get("effective") if isinstance(counts, Mapping) else None
    number = _figures(run, task).get("sample_len") if number is None else number
    number = _number(number)
    return None if number is None else int(number)


def _figures(run: Run, task: str) -> Mapping[str, Any]:
    for table in (run.table("groups").get(task), run.tasks.get(task)):
        if isinstance(table, Mapping) and set(table) - _NO_FIGURES:
            return table
    return {}


def _without(run: Run, task: str) -> str:
    if any(_parts(key)[0] == _NOTHING_SCORED for key in _figures(run, task)):
        return "no figure: run with --predict_only, which scores nothing"
    return "no figure in the result file"


def _parts(key: str) -> tuple[str, str]:
    name, _, filter_ = key.partition(",")
    return name, filter_ or NO_FILTER


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _listed(run: Run, task: str) -> list[str]:
    """Names of the task's metrics in its own order."""
    return [str(one.get("metric")) for one in _config(run, task, "metric_list")]


def _config(run: Run, task: str, name: str) -> Sequence[Mapping[str, Any]]:
    config = run.table("configs").get(task)
    listed = config.get(name) if isinstance(config, Mapping) else None
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _higher_is_better(run: Run, task: str, name: str) -> bool:
    table = run.table("higher_is_better").get(task)
    found = table.get(name) if isinstance(table, Mapping) else None
    if found is None:
        own = [o for o in _config(run, task, "metric_list") if o.get("metric") == name]
        found = own[0].get("higher_is_better") if own else None
    return True if found is None else bool(found)
