"""lm-eval's result folders → outcomes, of any model class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.groups import pooled, task_groups, weighting_of
from l2_harness.lm_eval_files.left_out import LeftOut, few, told
from l2_harness.lm_eval_files.metrics import (
    Chosen,
    Metric,
    NoMetricError,
    choose_metric,
    figures_of,
    reported,
)
from l2_harness.lm_eval_files.names import NamedRun, Source, name_runs
from l2_harness.lm_eval_files.orphans import orphan_runs
from l2_harness.lm_eval_files.outcomes import Aggregate, Outcome, Weighting
from l2_harness.lm_eval_files.questions import PairBy, ScoredTask, score_task
from l2_harness.lm_eval_files.recorded_cost import recorded_cost
from l2_harness.lm_eval_files.roles import (
    TaskRun,
    conditions_of,
    latest,
    models_as_rows,
    with_roles,
)
from l2_harness.lm_eval_files.runs import Run, find_runs
from l2_harness.printable_text import printable


@dataclass(frozen=True, eq=False)
class Comparable:
    """What some folders hold.

    Attributes:
        outcomes: what can be compared.
        left_out: what can't.
    """

    outcomes: list[Outcome]
    left_out: list[LeftOut]


def from_folders(folders: Sequence[str | Path], **options: Any) -> list[Outcome]:
    """The outcomes of :func:`read_folders`, which has its arguments and errors."""
    return read_folders(folders, **options).outcomes


def read_folders(
    folders: Sequence[str | Path],
    *,
    metric: Metric = None,
    plain: str | None = None,
    pair_by: PairBy = "document",
    subtasks: bool = False,
    tasks: Callable[[str], bool] = lambda task: True,
) -> Comparable:
    """Every run found in the folders, as outcomes.

    Runs that differ in their seed alone are one method's seeds. A run made again with the same
    settings and seed, from another folder, is plain's null where it is plain's, and a method of
    its own otherwise. Where every model has one method, the models stand as rows of one table.

    Args:
        folders: each ``DIR``, ``DIR=method`` or ``DIR=model/method``; what is below one counts.
        metric: of all tasks, or by task: ``exact_match``, ``exact_match,number`` or ``number``;
            by default each task's first.
        plain: the method that all are compared with. By default the one named plain, which is
            also what a run without any of the others' settings is called; else the first
            folder's, of several the one with scores on most tasks.
        pair_by: what makes two questions the same: the document, or its number.
        subtasks: every task of a group for itself.
        tasks: whether a task or group is wanted.

    Raises:
        ConfigError: nothing that can be compared; a plain method that isn't there.
    """
    if not folders:
        raise ConfigError("pass at least one folder that lm_eval wrote results into.")
    found = _found([Source.parse(folder) for folder in folders])
    if not found.runs:
        raise ConfigError(_nothing(folders, found.left_out))
    every = _entries(name_runs(found.runs), subtasks)
    entries = [entry for entry in every if tasks(entry.task)]
    if not entries:
        raise ConfigError(_no_task(every, tasks))
    entries = models_as_rows(latest(entries))
    outcomes, left_out = [], found.left_out
    for entry in entries:
        try:
            outcomes.append(_outcome(entry, metric, pair_by))
        except NoMetricError as error:
            left_out.append(LeftOut(_where(entry), str(error)))
    if not outcomes:
        raise ConfigError(_nothing(folders, left_out))
    return Comparable(with_roles(outcomes, entries, plain), left_out)


@dataclass(frozen=True, eq=False)
class _Found:
    runs: list[tuple[Source, Run]]
    left_out: list[LeftOut]


def _found(sources: Sequence[Source]) -> _Found:
    """The runs of all folders; a file below two folders counts once, for the first of them."""
    runs: dict[Path, tuple[Source, Run]] = {}
    left_out: dict[str, LeftOut] = {}
    for source in sources:
        found = find_runs(source.folder)
        for run in [*found.runs, *orphan_runs(found.orphans)]:
            runs.setdefault(run.path.resolve(), (source, run))
        left_out |= {one.what: one for one in found.left_out}
    return _Found(list(runs.values()), list(left_out.values()))


def _nothing(folders: Sequence[str | Path], left_out: Sequence[LeftOut]) -> str:
    names = ", ".join(map(str, folders))
    if left_out:
        why = " ".join(told(left_out))
        return f"{names} holds no result file of lm-eval that can be compared. {why}"
    return (
        f"{names} holds no result file of lm-eval, results_<date>.json. Run lm_eval with "
        "--output_path, and with --log_samples for comparisons question by question."
    )


def _no_task(entries: Sequence[TaskRun], wanted: Callable[[str], bool]) -> str:
    inner = any(wanted(task) for entry in entries for task in entry.tasks)
    way = " --subtasks compares the tasks of a group." if inner else ""
    known = ", ".join(dict.fromkeys(entry.task for entry in entries))
    there = f"There are: {known}." if known else "There is none."
    return f"no task that was asked for is here. {there}{way}"


def _entries(named: Iterable[NamedRun], subtasks: bool) -> list[TaskRun]:
    return [
        TaskRun(one, task, tasks)
        for one in named
        for task, tasks in task_groups(one.run, subtasks=subtasks).items()
    ]


def _where(entry: TaskRun) -> str:
    return printable(f"{entry.task} of {entry.named.model or entry.named.method}")


def _outcome(entry: TaskRun, metric: Metric, pair_by: PairBy) -> Outcome:
    run = entry.named.run
    group = entry.task if entry.task not in entry.tasks else None
    wanted = {task: _of_task(metric, entry, task) for task in entry.tasks}
    scored, first = _scored(run, group, wanted, pair_by)
    figure = reported(run, group, first) if group is not None else None
    weighting, scores, notes = _together(scored, figure)
    aggregate = None if scores else figure or _pooled(scored)
    if not scores and aggregate is None:
        raise NoMetricError(f"no finite number for {first.label}, and {few(notes)}")
    if run.note:
        notes.append(run.note)
    if entry.passed_over:
        notes.append(f"run {entry.passed_over + 1} times; the latest counts, {run.date}")
    return Outcome(
        model=entry.named.model,
        task=printable(entry.task),
        method=entry.named.method,
        seed=run.seed,
        metric=printable(first.label),
        higher_is_better=first.higher_is_better,
        scores=scores,
        weighting=weighting,
        aggregate=aggregate,
        cost=recorded_cost(run, entry.tasks),
        settings={
            "model_class": run.model_class,
            "args": run.model_args,
            "gen_kwargs": run.gen_kwargs,
            "batch_size": run.config.get("batch_size"),
            "limit": run.config.get("limit"),
            "lm_eval": run.content.get("lm_eval_version"),
            "date": run.date,
        },
        conditions=conditions_of(entry),
        folder=run.folder,
        notes=[printable(note) for note in notes],
    )


def _of_task(metric: Metric, entry: TaskRun, task: str) -> str | None:
    """A metric that was given for a group is meant for its tasks."""
    if isinstance(metric, Mapping):
        return metric.get(task) or metric.get(entry.task)
    return metric


def _scored(
    run: Run, group: str | None, wanted: Mapping[str, str | None], pair_by: PairBy
) -> tuple[dict[str, ScoredTask], Chosen]:
    """Each task by the metric wanted, else its group's or its own first; those that have it."""
    usual = None
    if group is not None and figures_of(run, group):
        usual = choose_metric(run, group, None, like=next(iter(wanted))).label
    scored: dict[str, ScoredTask] = {}
    chosen: list[Chosen] = []
    missing: list[NoMetricError] = []
    for task, name in wanted.items():
        try:
            chosen.append(choose_metric(run, task, name or usual))
            scored[task] = score_task(run, task, chosen[-1], pair_by)
        except NoMetricError as error:
            missing.append(error)
    if not chosen:
        raise missing[0]
    return scored, chosen[0]


def _together(
    scored: Mapping[str, ScoredTask], figure: Aggregate | None
) -> tuple[Weighting, dict[str, float], list[str]]:
    """A task's or group's scores, empty where some task has none, with what there is to say."""
    notes = _merged({task: one.notes for task, one in scored.items()})
    if not all(one.scores for one in scored.values()):
        return "questions", {}, notes
    if len(scored) == 1:
        return "questions", dict(next(iter(scored.values())).scores), notes
    means = [one.mean for one in scored.values()]
    sizes = [one.size for one in scored.values()]
    weighting = weighting_of(figure, means, sizes)
    if weighting is None:
        notes.append(
            "the group's own figure is no mean of its tasks or questions, so it can't be compared "
            "by them (--subtasks compares its tasks)"
        )
        return "questions", {}, notes
    scores = {f"{task}:{q}": s for task, one in scored.items() for q, s in one.scores.items()}
    return weighting, scores, notes


def _merged(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """The same words of several tasks once, with the tasks where it isn't all of them."""
    by_text: dict[str, list[str]] = {}
    for task, own in notes.items():
        for note in own:
            by_text.setdefault(note, []).append(task)
    return [
        text if len(tasks) == len(notes) else f"{text}: {few(tasks)}"
        for text, tasks in by_text.items()
    ]


def _pooled(scored: Mapping[str, ScoredTask]) -> Aggregate | None:
    """The figure of a task; of a group, the mean of its tasks weighted by size."""
    figures = [one.reported for one in scored.values()]
    known = [figure for figure in figures if figure is not None]
    if not known or len(known) < len(figures):
        return None
    return known[0] if len(known) == 1 else pooled(known)
