"""Recorded responses judged by their own lm-eval task: its filters, then its process_results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.tasks import load_task
from l2_harness.selection.sampled_text import SampledText


@dataclass(frozen=True)
class Judging:
    """How responses are judged.

    Attributes:
        task: which.
        include_path: folders of task YAMLs.
        metadata: for the task, as lm-eval's ``--metadata``.
        filter, metric: the task's, by default its first ones.
    """

    task: str
    include_path: Sequence[Path] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    filter: str | None = None
    metric: str | None = None

    def load(self, settings: Mapping[str, Any]) -> Any:
        """The task, as it was for a run with these settings.

        Raises:
            ConfigError: it can't be loaded, or generates nothing.
        """
        metadata = dict(self.metadata)
        if settings.get("think_end_token"):
            metadata.setdefault("think_end_token", settings["think_end_token"])
        task = load_task(self.task, self.include_path, metadata)
        if getattr(task, "OUTPUT_TYPE", None) != "generate_until":
            raise ConfigError(f"task {self.task!r} generates nothing that could be chosen among.")
        return task


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


def judge(
    task: Any, answered: Sequence[Answered], filter: str | None = None, metric: str | None = None
) -> list[Judged]:
    """Each response on its own: its answer and one metric.

    Args:
        task: of :meth:`Judging.load`.
        answered: the responses.
        filter: which of the task's filters; the first by default.
        metric: which of its metrics; the first in its metric_list by default.

    Raises:
        ConfigError: an unknown filter or metric, a metric that is no number, or an error of the
            task's own code.
    """
    answers = _answers(task, answered, filter)
    try:
        scored = [
            task.process_results(one.doc, [answer])
            for one, answer in zip(answered, answers, strict=True)
        ]
    except Exception as error:  # of the task's own code
        raise _failed(task, "scoring", error) from error
    metric = metric if metric is not None else _first_metric(task, scored[0])
    _check("--metric", metric, list(scored[0]))
    return [
        Judged(metric, _number(metric, result[metric]), answer)
        for result, answer in zip(scored, answers, strict=True)
    ]


def _answers(task: Any, answered: Sequence[Answered], filter: str | None) -> list[Any]:
    """What one of the task's filters makes of each response.

    A filter that asks for several responses to a question (``take_first_k``) gets as many copies.
    """
    ensembles = {one.name: one for one in task._filters}
    chosen = filter if filter is not None else next(iter(ensembles))
    _check("--filter", chosen, list(ensembles))
    try:
        instances = _instances(task, answered, 1)
        try:
            ensembles[chosen].apply(instances)
        except AssertionError:
            instances = _instances(task, answered, int(task.config.repeats or 1))
            ensembles[chosen].apply(instances)
    except Exception as error:  # of the task's own code
        raise _failed(task, f"filter {chosen!r}", error) from error
    return [one.filtered_resps[chosen] for one in instances]


def _instances(task: Any, answered: Sequence[Answered], copies: int) -> list[Any]:
    from lm_eval.api.instance import Instance

    task._instances = [
        Instance(
            *("generate_until", one.doc, (one.prompt, {}), 0, (None, i, copies)),
            resps=[one.response] * copies,
        )
        for i, one in enumerate(answered)
    ]
    return list(task._instances)


def _failed(task: Any, what: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"task {task.config.task!r}: its {what} fails on a recorded response "
        f"({type(error).__name__}: {error}). Name another --filter or --metric."
    )


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
