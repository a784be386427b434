"""A suite: models × tasks × methods × seeds, as frozen data that nothing has been run of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from l2_harness.compare.marked_yaml import Entry
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.outcomes import Role
from l2_harness.models.capabilities import DEFAULT_CLASS

BatchSize = int | str


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model.

    Attributes:
        name: as tables show it, and a folder's name.
        model_class: lm-eval's name of the class that runs it, where a method names no other.
        args: model_args, without batch_size and device.
        batch_size: of all its cells, where a method sets no other; None for the suite's.
        places: where each of the args was written.
    """

    name: str
    model_class: str = DEFAULT_CLASS
    args: Mapping[str, Any] = field(default_factory=dict)
    batch_size: BatchSize | None = None
    place: Entry | None = field(default=None, compare=False, repr=False)
    places: Mapping[str, Entry] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """A task or group of lm-eval's, and how it is asked.

    Attributes:
        name: as tables show it, and a folder's name.
        task: lm-eval's name.
        limit: the first so many documents; a share of them below 1; None for all.
        num_fewshot, apply_chat_template, system_instruction, fewshot_as_multiturn: as for lm-eval.
        gen_kwargs: over the task's own.
        metadata: for the task, as ``--metadata``.
        metric: which metric counts, ``name`` or ``name,filter``; None for the task's first.
        include_path: further folders of task files.
    """

    name: str
    task: str
    limit: int | float | None = None
    num_fewshot: int | None = None
    apply_chat_template: bool | str = False
    system_instruction: str | None = None
    fewshot_as_multiturn: bool = True
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    include_path: tuple[str, ...] = ()
    place: Entry | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A named set of model_args, what it inherits included.

    Attributes:
        name: as tables show it, and a folder's name.
        role: what it is there for.
        model_class: in place of the model's.
        args: over the model's.
        gen_kwargs: over the task's.
        batch_size: its own, for a run that is to differ in it.
        seeds: in place of the suite's.
        places: where each of the args was written.
    """

    name: str
    role: Role = "method"
    model_class: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    batch_size: BatchSize | None = None
    seeds: tuple[int, ...] | None = None
    description: str = ""
    place: Entry | None = field(default=None, compare=False, repr=False)
    places: Mapping[str, Entry] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Published:
    """A figure that others published, to stand beside ours.

    Attributes:
        pattern: ``model/task/method``, each of which may be a glob.
        value: in its source's unit.
        source: where it is from.
    """

    pattern: str
    value: float
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What is to be compared.

    Attributes:
        seeds: for lm-eval's random, numpy and torch seeds; few-shot examples keep theirs, so
            that all cells of a task ask the same.
        batch_size: of cells whose model and method set none.
        device: None for a GPU where there is one.
        exclude: ``model/task/method`` globs of cells that are left out.
        file: where it was read from.
    """

    name: str
    models: tuple[ModelRow, ...]
    tasks: tuple[TaskRow, ...]
    methods: tuple[Method, ...]
    description: str = ""
    seeds: tuple[int, ...] = (0,)
    batch_size: BatchSize = 1
    device: str | None = None
    exclude: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    file: str = ""


@dataclass(frozen=True)
class Cell:
    """One model, task, method and seed."""

    model: ModelRow
    task: TaskRow
    method: Method
    seed: int

    @property
    def name(self) -> str:
        """Where it is, as one word; also its folder below the output folder's ``cells``."""
        return f"{self.group}/seed{self.seed}"

    @property
    def group(self) -> str:
        """Model, task and method."""
        return f"{self.model.name}/{self.task.name}/{self.method.name}"

    @property
    def model_class(self) -> str:
        """lm-eval's name of the class that runs it."""
        return self.method.model_class or self.model.model_class

    @property
    def args(self) -> dict[str, Any]:
        """model_args, the method's over the model's."""
        return {**self.model.args, **self.method.args}

    @property
    def gen_kwargs(self) -> dict[str, Any]:
        """Generation settings over the task's own."""
        return {**self.task.gen_kwargs, **self.method.gen_kwargs}

    def matches(self, pattern: str) -> bool:
        """Whether a glob means it: ``model``, ``model/task``, … up to ``model/task/method/seed0``.

        Without a slash a pattern is of a method, which is what there are most of.
        """
        if "/" not in pattern:
            return fnmatchcase(self.method.name, pattern)
        parts = pattern.split("/")
        own = self.name.split("/")[: len(parts)]
        return len(parts) <= 4 and all(map(fnmatchcase, own, parts))

    def place_of(self, arg: str) -> Entry | None:
        """Where a model argument was written; where it wasn't, the method."""
        return self.method.places.get(arg) or self.model.places.get(arg) or self.method.place


def cells_of(suite: Suite) -> Iterator[Cell]:
    """All cells, in the order of the file: a model's, then its tasks', methods' and seeds'."""
    for model in suite.models:
        for task in suite.tasks:
            for method in suite.methods:
                for seed in method.seeds if method.seeds is not None else suite.seeds:
                    cell = Cell(model, task, method, seed)
                    if not any(cell.matches(pattern) for pattern in suite.exclude):
                        yield cell


@dataclass(frozen=True)
class Overrides:
    """What the command line says over a suite; None leaves a thing as it is.

    Attributes:
        tasks: in place of the suite's, with what the suite says of all its tasks: of the first
            of its tasks, without a metric of its own.
        model_args: over every model's; ``pretrained`` among them also names the suite's only
            model anew.
    """

    limit: int | float | None = None
    tasks: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    device: str | None = None
    batch_size: BatchSize | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, suite: Suite) -> Suite:
        """The suite with these in place.

        Raises:
            ConfigError: another ``pretrained`` for several models.
        """
        changes: dict[str, Any] = {}
        tasks = self._tasks(suite.tasks)
        if self.limit is not None:
            tasks = tuple(replace(task, limit=self.limit) for task in tasks)
        if self.seeds is not None:
            changes["seeds"] = self.seeds
            changes["methods"] = tuple(_reseeded(method) for method in suite.methods)
        if self.device is not None:
            changes["device"] = self.device
        models = suite.models
        if self.batch_size is not None:
            changes["batch_size"] = self.batch_size
            models = tuple(replace(model, batch_size=None) for model in models)
        if self.model_args:
            models = self._models(models)
        return replace(suite, models=models, tasks=tasks, **changes)

    def _tasks(self, tasks: tuple[TaskRow, ...]) -> tuple[TaskRow, ...]:
        own = {task.name: task for task in tasks}
        return (
            tuple(
                own.get(name) or replace(tasks[0], name=name, task=name, metric=None, place=None)
                for name in self.tasks
            )
            or tasks
        )

    def _models(self, models: Sequence[ModelRow]) -> tuple[ModelRow, ...]:
        named = "pretrained" in self.model_args
        if named and len(models) > 1:
            raise ConfigError(
                f"--model-args pretrained= names one model, and the suite has {len(models)}: "
                "write them into a suite of your own."
            )
        found = [replace(m, args={**m.args, **self.model_args}) for m in models]
        if named:
            found = [replace(found[0], name=_short_name(str(self.model_args["pretrained"])))]
        return tuple(found)


def _reseeded(method: Method) -> Method:
    """A method that runs on a single seed goes on doing so."""
    one = method.seeds is not None and len(method.seeds) == 1
    return method if one else replace(method, seeds=None)


def _short_name(pretrained: str) -> str:
    """The last part of a path or hub name, fit for a folder."""
    last = pretrained.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] or "model"
    return "".join(c if c.isalnum() or c in "._-+" else "-" for c in last)
