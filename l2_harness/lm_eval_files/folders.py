"""lm-eval's result folders → outcomes, of any model class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError, unknown_value
from l2_harness.lm_eval_files.groups import task_groups
from l2_harness.lm_eval_files.metrics import Metric, choose_metric
from l2_harness.lm_eval_files.names import PLAIN, NamedRun, Source, name_runs, printable
from l2_harness.lm_eval_files.outcomes import Aggregate, Cost, Outcome, Role
from l2_harness.lm_eval_files.questions import PairBy, ScoredTask, score_task
from l2_harness.lm_eval_files.recorded_cost import recorded_cost
from l2_harness.lm_eval_files.runs import find_runs


def from_folders(
    folders: Sequence[str | Path],
    *,
    metric: Metric = None,
    plain: str | None = None,
    pair_by: PairBy = "document",
    subtasks: bool = False,
) -> list[Outcome]:
    """Every run found in the folders, as outcomes.

    Runs that differ in their seed alone are one method's seeds. A run made again with the same
    settings and seed, from another folder, is plain's null where it is plain's, and a method of
    its own otherwise. Where every model has one method, the models stand as rows of one table.

    Args:
        folders: each ``DIR``, ``DIR=method`` or ``DIR=model/method``; what is below one counts.
        metric: of all tasks, or by task: ``exact_match`` or ``exact_match,number``; by default
            each task's first.
        plain: the method that all are compared with. By default the one named plain, which is
            also what a run without any of the others' settings is called; else the first.
        pair_by: what makes two questions the same: the document, or its number.
        subtasks: every task of a group for itself.

    Raises:
        ConfigError: a folder without results, a file that can't be read, a metric or a plain
            method that isn't there.
    """
    if not folders:
        raise ConfigError("pass at least one folder that lm_eval wrote results into.")
    sources = [Source.parse(folder) for folder in folders]
    # The same file below two folders counts once.
    found = {run.path.resolve(): (s, run) for s in reversed(sources) for run in find_runs(s.folder)}
    runs = sorted(found.values(), key=lambda pair: (sources.index(pair[0]), str(pair[1].path)))
    entries = _latest(_entries(name_runs(runs), subtasks))
    versions = _version_notes(entries)
    outcomes = [
        _outcome(entry, metric, pair_by, versions.get((entry.named.model, entry.task), []))
        for entry in entries
    ]
    return _with_roles(_models_as_rows(outcomes), plain, _repeated(entries))


@dataclass(frozen=True, eq=False)
class _Entry:
    """What one run says about one task.

    Attributes:
        tasks: lm-eval's, that make it up.
        passed_over: how many earlier runs of the same kind there are.
    """

    named: NamedRun
    task: str
    tasks: Sequence[str]
    passed_over: int = 0


def _entries(named: Iterable[NamedRun], subtasks: bool) -> list[_Entry]:
    return [
        _Entry(one, task, tasks)
        for one in named
        for task, tasks in task_groups(one.run, subtasks=subtasks).items()
    ]


def _latest(entries: Sequence[_Entry]) -> list[_Entry]:
    """Of runs of one kind in one folder, the latest."""
    kinds: dict[tuple[Any, ...], list[_Entry]] = {}
    for entry in entries:
        one = entry.named
        key = (one.model, one.method, one.run.seed, entry.task, one.run.folder)
        kinds.setdefault(key, []).append(entry)
    return [
        replace(max(own, key=lambda e: e.named.run.date), passed_over=len(own) - 1)
        for own in kinds.values()
    ]


def _version_notes(entries: Sequence[_Entry]) -> dict[tuple[str, str], list[str]]:
    """(model, task) → what to say where its runs used several versions of a task."""
    notes: dict[tuple[str, str], list[str]] = {}
    groups: dict[tuple[str, str], list[_Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.named.model, entry.task), []).append(entry)
    for key, own in groups.items():
        for task in dict.fromkeys(task for entry in own for task in entry.tasks):
            versions: dict[str, list[str]] = {}
            for entry in own:
                version = str(entry.named.run.table("versions").get(task, "unknown"))
                versions.setdefault(version, []).append(entry.named.method)
            if len(versions) > 1:
                told = "; ".join(f"{v}: {', '.join(m)}" for v, m in versions.items())
                notes.setdefault(key, []).append(
                    f"{task}: the runs used different versions of the task ({told}). Their "
                    "figures may not be of the same test."
                )
    return notes


def _outcome(entry: _Entry, metric: Metric, pair_by: PairBy, notes: Sequence[str]) -> Outcome:
    run = entry.named.run
    chosen = {task: choose_metric(run, task, _of_task(metric, entry, task)) for task in entry.tasks}
    scored = {task: score_task(run, task, chosen[task], pair_by) for task in entry.tasks}
    complete = all(one.scores for one in scored.values())
    first = chosen[entry.tasks[0]]
    said = [note for one in scored.values() for note in one.notes]
    if entry.passed_over:
        said.append(
            f"{run.folder.name}: {entry.passed_over + 1} runs of {entry.named.method} on "
            f"{entry.task}; the latest counts, {run.date}."
        )
    aggregate = None if complete else _aggregate(entry, scored)
    return Outcome(
        model=entry.named.model,
        task=printable(entry.task),
        method=entry.named.method,
        seed=run.seed,
        metric=printable(first.key),
        higher_is_better=first.higher_is_better,
        scores=_scores(scored) if complete else {},
        aggregate=aggregate,
        cost=recorded_cost(run, entry.tasks) if complete or aggregate else Cost(),
        settings={
            "model_class": run.model_class,
            "args": run.model_args,
            "gen_kwargs": run.gen_kwargs,
            "batch_size": run.config.get("batch_size"),
            "limit": run.config.get("limit"),
            "lm_eval": run.content.get("lm_eval_version"),
            "date": run.date,
        },
        folder=run.folder,
        error=None if complete or aggregate else "; ".join(said) or "the file has no figure",
        notes=[printable(note) for note in (*said, *notes)],
    )


def _of_task(metric: Metric, entry: _Entry, task: str) -> Metric:
    """A metric that was given for a group is meant for its tasks."""
    if isinstance(metric, Mapping):
        return metric.get(task) or metric.get(entry.task)
    return metric


def _scores(scored: Mapping[str, ScoredTask]) -> dict[str, float]:
    if len(scored) == 1:
        return dict(next(iter(scored.values())).scores)
    return {f"{task}:{q}": s for task, one in scored.items() for q, s in one.scores.items()}


def _aggregate(entry: _Entry, scored: Mapping[str, ScoredTask]) -> Aggregate | None:
    """The figure of a task; of a group, its own, or the mean of its tasks weighted by size."""
    figures = [one.reported for one in scored.values()]
    known = [figure for figure in figures if figure is not None]
    if not known or len(known) < len(figures):
        return None
    if len(known) == 1:
        return known[0]
    sizes = [figure.questions or 1 for figure in known]
    total = sum(sizes)
    value = sum(figure.value * n for figure, n in zip(known, sizes, strict=True)) / total
    errors = [figure.stderr for figure in known if figure.stderr is not None]
    stderr = None
    if len(errors) == len(known):
        stderr = sum((e * n / total) ** 2 for e, n in zip(errors, sizes, strict=True)) ** 0.5
    return Aggregate(value, stderr, total)


def _models_as_rows(outcomes: list[Outcome]) -> list[Outcome]:
    """Models in the place of methods, where every model has one method and they share a task."""
    methods: dict[str, set[str]] = {}
    tasks: dict[str, set[str]] = {}
    for o in outcomes:
        methods.setdefault(o.model, set()).add(o.method)
        tasks.setdefault(o.model, set()).add(o.task)
    alone = len(methods) > 1 and all(len(own) == 1 for own in methods.values())
    if not alone or not set.intersection(*tasks.values()):
        return outcomes
    return [replace(o, model="", method=o.model) for o in outcomes]


def _repeated(entries: Sequence[_Entry]) -> dict[tuple[str, str], str]:
    """(model, method) of a run made once more → the method that it repeats."""
    return {
        (e.named.model, e.named.method): e.named.repeats
        for e in entries
        if e.named.repeats is not None
    }


def _with_roles(
    outcomes: Sequence[Outcome], plain: str | None, repeated: Mapping[tuple[str, str], str]
) -> list[Outcome]:
    methods = list(dict.fromkeys(o.method for o in outcomes))
    if plain is not None and plain not in methods:
        raise unknown_value("--plain", plain, methods)
    of_model = {
        model: _plain_of([o for o in outcomes if o.model == model], plain)
        for model in dict.fromkeys(o.model for o in outcomes)
    }

    def role(o: Outcome) -> Role:
        if o.method == of_model[o.model]:
            return "plain"
        return "null" if repeated.get((o.model, o.method)) == of_model[o.model] else "method"

    return [replace(o, role=role(o)) for o in outcomes]


def _plain_of(outcomes: Sequence[Outcome], wanted: str | None) -> str:
    """The method asked for, the one named plain, or the one with the fewest settings.

    Among equals, one of the model class that most methods are of; then the first.
    """
    own = {o.method: o for o in reversed(outcomes)}
    names = list(dict.fromkeys(o.method for o in outcomes))
    for name in (wanted, PLAIN):
        if name in own:
            return str(name)
    classes = [own[name].settings["model_class"] for name in names]

    def settings(name: str) -> tuple[int, int]:
        parts = (own[name].settings[part] for part in ("args", "gen_kwargs"))
        number = sum(len(part) for part in parts if isinstance(part, Mapping))
        return number, -classes.count(own[name].settings["model_class"])

    return min(names, key=settings)
