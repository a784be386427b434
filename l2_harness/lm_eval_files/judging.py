"""Recorded responses scored by their own lm-eval task: its filters, then its process_results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError, nearest
from l2_harness.selection.sampled_text import SampledText


@dataclass(frozen=True, eq=False)
class Answered:
    """A response with the document that it answers."""

    response: SampledText
    doc: Any
    prompt: str


@dataclass(frozen=True)
class Judged:
    """What a task says of one response.

    Attributes:
        metric: the metric's name.
        value: its value.
        answer: what the task's filter made of the response.
    """

    metric: str
    value: float
    answer: Any


def load_task(
    name: str, include_path: Sequence[Path] = (), metadata: Mapping[str, Any] | None = None
) -> Any:
    """The lm-eval task of that name, this project's own and lm-eval's among them.

    Raises:
        ConfigError: there is none.
    """
    from lm_eval.tasks import TaskManager

    from l2_harness.paths import tasks_dir
    from l2_harness.registration import register

    register()
    manager = TaskManager(
        include_path=[str(path) for path in (*include_path, tasks_dir())],
        metadata=dict(metadata or {}),
    )
    if name not in manager.all_tasks:
        match = nearest(name, manager.all_tasks)
        hint = f"; did you mean {match!r}?" if match else "."
        raise ConfigError(
            f"lm-eval knows no task {name!r}{hint} Pass --include-path with the folder of its YAML."
        )
    return manager.load([name])["tasks"][name]


def judge(
    task: Any, answered: Sequence[Answered], filter: str | None = None, metric: str | None = None
) -> list[Judged]:
    """Each response on its own: its answer and one metric.

    Args:
        task: of :func:`load_task`.
        answered: the responses.
        filter: which of the task's filters; the first by default.
        metric: which of its metrics; the first in its metric_list by default.

    Raises:
        ConfigError: an unknown filter or metric, or a metric that is no number.
    """
    from lm_eval.api.instance import Instance

    instances = [
        Instance("generate_until", one.doc, (one.prompt, {}), 0, (None, i, 1), [one.response])
        for i, one in enumerate(answered)
    ]
    task._instances = instances
    task.apply_filters()
    names = list(instances[0].filtered_resps)
    chosen = filter if filter is not None else names[0]
    _check("--filter", chosen, names)
    answers = [one.filtered_resps[chosen] for one in instances]
    scored = [
        task.process_results(one.doc, [answer])
        for one, answer in zip(instances, answers, strict=True)
    ]
    metric = metric if metric is not None else _first_metric(task, scored[0])
    _check("--metric", metric, list(scored[0]))
    return [
        Judged(metric, _number(metric, result[metric]), answer)
        for result, answer in zip(scored, answers, strict=True)
    ]


def _first_metric(task: Any, result: Mapping[str, Any]) -> str:
    listed = [one["metric"] for one in task.config.metric_list or []]
    return next((name for name in listed if name in result), next(iter(result)))


def _check(option: str, name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise ConfigError(f"{option}={name!r} is unknown. Allowed: {', '.join(allowed)}.")


def _number(metric: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"--metric={metric} gives {value!r}, which is no number of one response."
        ) from error
