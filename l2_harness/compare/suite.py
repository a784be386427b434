"""A suite: models × tasks × methods × seeds, as frozen data that nothing has been run of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, get_args

from l2_harness.compare.decision import Decision, read_decision
from l2_harness.compare.marked_yaml import Entry, nullable, read_list, read_mapping, read_scalar
from l2_harness.config.batch_size import batch_size
from l2_harness.config.decoding import DecodingConfig
from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import number, whole
from l2_harness.config.options import (
    Parser,
    choice,
    option,
    option_names,
    read_options,
    text,
)
from l2_harness.lm_eval_files.outcomes import Role
from l2_harness.models.capabilities import (
    DEFAULT_CLASS,
    capabilities,
    class_of_engine,
    engines,
)

BatchSize = int | str
_TASK_NAME = "lm-eval's name of a task or group"


def _batch_size(name: str, entry: Entry) -> BatchSize:
    try:
        return batch_size(name, entry.raw)
    except ConfigError as error:
        raise entry.error(str(error)) from error


def _seeds(name: str, entry: Entry) -> tuple[int, ...]:
    seeds: tuple[int, ...] = read_list(read_scalar(whole(0)))(name, entry)
    if not seeds or len(set(seeds)) < len(seeds):
        raise entry.error(f"seeds are different whole numbers, such as [0, 1]; these: {seeds}.")
    return seeds


def is_limit(value: float) -> bool:
    """A number of documents, or a share of them below 1."""
    return 0 < value < 1 or (1 <= value < math.inf and value == int(value))


def _limit(name: str, entry: Entry) -> int | float | None:
    value = entry.value
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not is_limit(value):
        raise entry.error(
            f"limit is a number of documents, or a share of them below 1; this is {entry.raw!r}."
        )
    return int(value) if value >= 1 else float(value)


def _template(name: str, entry: Entry) -> bool | str:
    own = isinstance(entry.value, bool)
    return entry.value if own else str(_text("true, or the name of a template")(name, entry))


def _flag(name: str, entry: Entry) -> bool:
    if not isinstance(entry.value, bool):
        raise entry.error(f"{name} is true or false; this is {entry.raw!r}.")
    return entry.value


def _text(meaning: str) -> Parser:
    return read_scalar(text(meaning))


def _model_args(name: str, entry: Entry) -> dict[str, Any]:
    for own, where in (("batch_size", "beside args, or for the suite"), ("device", "the suite")):
        if own in entry.mapping(name):
            place = entry.mapping(name)[own]
            raise place.error(f"{own} is no model argument here: give it {where}.")
    return read_mapping(name, entry)


def _given(parse: Parser) -> Parser:
    """Without the nulls, which take away what a method inherits."""
    return lambda name, entry: {k: v for k, v in parse(name, entry).items() if v is not None}


def _published(name: str, entry: Entry) -> tuple[Published, ...]:
    found = []
    for pattern, figure in entry.mapping(name).items():
        if pattern.count("/") != 2:
            raise figure.error(f"published: {pattern!r} is to be model/task/method.")
        keys = {"value": figure}
        if isinstance(figure.value, dict):
            keys = figure.allow(f"published {pattern!r}", option_names(Published))
        if "value" not in keys:
            raise figure.error(f"published: {pattern!r} has no `value`.")
        found.append(read_options(Published, keys, pattern=pattern))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model: the keys of a suite's model, and

    Attributes:
        name: as tables show it, and a folder's name.
        places: where each of the args was written.
    """

    name: str
    model_class: str = option(
        DEFAULT_CLASS,
        _text("lm-eval's name of a model class"),
        "lm-eval's name of the class that runs it, where a method names no other",
        key="class",
    )
    args: Mapping[str, Any] = option({}, _model_args, "model_args, without batch_size and device")
    batch_size: BatchSize | None = option(
        None,
        nullable(_batch_size),
        "of its cells, where a method sets none; else the suite's",
    )
    place: Entry | None = field(default=None, compare=False, repr=False)
    places: Mapping[str, Entry] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """How a task is asked: keys of a task, and of a suite for all of its tasks."""

    limit: int | float | None = option(
        None, _limit, "the first so many documents; a share of them below 1; null for all"
    )
    num_fewshot: int | None = option(None, nullable(read_scalar(whole(0))), "as for lm-eval")
    apply_chat_template: bool | str = option(False, _template, "as for lm-eval")
    system_instruction: str | None = option(
        None, nullable(_text("an instruction")), "as for lm-eval"
    )
    fewshot_as_multiturn: bool = option(True, _flag, "as for lm-eval")
    gen_kwargs: Mapping[str, Any] = option({}, read_mapping, "over the task's own")
    metadata: Mapping[str, Any] = option({}, read_mapping, "for the task, as --metadata")
    metric: str | None = option(
        None,
        nullable(_text("NAME or NAME,FILTER")),
        "which metric counts; null for the task's first",
    )
    include_path: tuple[str, ...] = option(
        (), read_list(_text("a folder")), "further folders of task files"
    )


@dataclass(frozen=True, kw_only=True)
class TaskRow(TaskOptions):
    """A task or group of lm-eval's, and how it is asked: the keys of a suite's task."""

    name: str = option(MISSING, _text("a name"), "as tables show it, and a folder's name")
    task: str = option(MISSING, _text(_TASK_NAME), _TASK_NAME)
    place: Entry | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A named set of model_args, what it inherits included: the keys of a suite's method, and

    Attributes:
        name: as tables show it, and a folder's name.
        places: where each of the args was written.
    """

    name: str
    role: Role = option("method", read_scalar(choice(*get_args(Role))), "what it is there for")
    model_class: str | None = option(
        None, _text("lm-eval's name of a model class"), "in place of the model's", key="class"
    )
    args: Mapping[str, Any] = option({}, _given(_model_args), "over the model's")
    gen_kwargs: Mapping[str, Any] = option({}, _given(read_mapping), "over the task's")
    batch_size: BatchSize | None = option(
        None, nullable(_batch_size), "its own, for a run that is to differ in it"
    )
    seeds: tuple[int, ...] | None = option(None, _seeds, "in place of the suite's")
    description: str = option("", _text("a description"), "one line")
    matches: str | None = option(
        None,
        nullable(_text("the name of a method")),
        "the method whose edits its random controls match: as many, around the same rows",
    )
    place: Entry | None = field(default=None, compare=False, repr=False)
    places: Mapping[str, Entry] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Published:
    """A figure that others published, to stand beside ours.

    Attributes:
        pattern: ``model/task/method``, each of which may be a glob.
    """

    pattern: str
    value: float = option(MISSING, read_scalar(number(-math.inf)), "in its source's unit")
    baseline: float | None = option(
        None, nullable(read_scalar(number(-math.inf))), "the source's own plain figure"
    )
    source: str = option("", _text("where it is from"), "where it is from")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What is to be compared: the keys of a suite, and

    Attributes:
        file: where it was read from.
    """

    name: str = option(MISSING, _text("a name"), "by default the file's")
    models: tuple[ModelRow, ...]
    tasks: tuple[TaskRow, ...]
    methods: tuple[Method, ...]
    description: str = option("", _text("a description"), "what it is about")
    #: Few-shot examples keep their seed, so that all cells of a task ask the same.
    seeds: tuple[int, ...] = option((0,), _seeds, "for lm-eval's random, numpy and torch seeds")
    batch_size: BatchSize = option(1, _batch_size, "of cells whose model and method set none")
    device: str | None = option(
        None, nullable(_text("a device")), "null for a GPU where there is one"
    )
    exclude: tuple[str, ...] = option(
        (), read_list(_text("a glob")), "model/task/method globs of cells that are left out"
    )
    published: tuple[Published, ...] = option((), _published, "figures of others")
    decision: Decision | None = option(
        None, read_decision, "what is claimed, and the margin within which a difference is none"
    )
    strict: bool = option(False, _flag, "float32, deterministic, one batch size: reruns agree")
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

    def matched(self, cells: Iterable[Cell]) -> Cell | None:
        """Of some cells the one whose edits its random controls match: of its seed, else any."""
        group = f"{self.model.name}/{self.task.name}/{self.method.matches}"
        found = [cell for cell in cells if cell.group == group]
        return next((cell for cell in found if cell.seed == self.seed), next(iter(found), None))

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

    @property
    def num_samples(self) -> int:
        """Responses that it takes to a question."""
        return read_options(DecodingConfig, self.args).num_samples

    def matches(self, pattern: str) -> bool:
        """Whether a glob means it: ``model``, ``model/task``, … up to ``model/task/method/seed0``.

        Without a slash a pattern is of a method, which is what there are most of.
        """
        if "/" not in pattern:
            return fnmatchcase(self.method.name, pattern)
        parts = pattern.split("/")
        own = self.name.split("/")[: len(parts)]
        return len(parts) <= 4 and all(map(fnmatchcase, own, parts))

    def place_of(self, arg: str | None) -> Entry | None:
        """Where a model argument was written; where it wasn't, the method."""
        places = {**self.model.places, **self.method.places}
        return self.method.place if arg is None else places.get(arg, self.method.place)


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
        engine: in place of every row's: ours for ours, and lm-eval's own class, which has its
            engine's name, for lm-eval's own.
        tasks: in place of the suite's, with what the suite says of all its tasks: of the first
            of its tasks, without a metric of its own.
        model_args: over every model's; ``pretrained`` among them also names the suite's only
            model anew.
        strict: whether to compute in float32 and so that a rerun gives the same numbers.
    """

    limit: int | float | None = None
    tasks: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    device: str | None = None
    batch_size: BatchSize | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False
    engine: str | None = None

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
        if self.strict:
            changes["strict"] = True
            models = tuple(replace(m, args={**m.args, "dtype": "float32"}) for m in models)
        if self.engine is not None:
            models = tuple(
                replace(model, model_class=_class_on(model.model_class, self.engine))
                for model in models
            )
            methods = changes.get("methods", suite.methods)
            changes["methods"] = tuple(_method_on(method, self.engine) for method in methods)
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
            found = [replace(found[0], name=short_name(str(self.model_args["pretrained"])))]
        return tuple(found)


def _class_on(model_class: str, engine: str) -> str:
    """A class's counterpart on another engine; of those that have none, the class itself."""
    if capabilities(model_class).records:
        return class_of_engine(engine) or model_class
    return engine if model_class in engines() else model_class


def _method_on(method: Method, engine: str) -> Method:
    """A method whose class, and name where it is its class's, are of another engine."""
    before = method.model_class
    if before is None:
        return method
    now = _class_on(before, engine)
    if method.name != before:
        return replace(method, model_class=now)
    told = method.description.replace(before, now)
    return replace(method, model_class=now, name=now, description=told)


def _reseeded(method: Method) -> Method:
    """A method that runs on a single seed goes on doing so."""
    one = method.seeds is not None and len(method.seeds) == 1
    return method if one else replace(method, seeds=None)


def short_name(pretrained: str) -> str:
    """The last part of a path or hub name, fit for a folder."""
    last = pretrained.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] or "model"
    return "".join(c if c.isalnum() or c in "._-+" else "-" for c in last)
