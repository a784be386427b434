"""A suite's file → :class:`~l2_harness.compare.suite.Suite`, methods with what they inherit.

Knows YAML and the shape of a suite; whether its models, tasks and arguments exist is
:mod:`~l2_harness.compare.suite_checks`' to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from l2_harness.compare.marked_yaml import Entry, marked, read_marked, unknown
from l2_harness.compare.suite import Method, ModelRow, Published, Suite, TaskRow
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.outcomes import Role
from l2_harness.models.capabilities import DEFAULT_CLASS, class_of_engine, engines

#: Options of a task that a suite may give for all of its tasks.
_TASK_OPTIONS = (
    *("limit", "num_fewshot", "apply_chat_template", "system_instruction"),
    *("fewshot_as_multiturn", "gen_kwargs", "metadata", "metric", "include_path"),
)
_TOP = (
    *("name", "description", "models", "tasks", "methods", "seeds", "batch_size", "device"),
    *("exclude", "published", *_TASK_OPTIONS),
)
_MODEL = ("class", "args", "batch_size")
_METHOD = (
    *("extends", "role", "class", "engine", "args", "gen_kwargs", "batch_size", "seeds"),
    "description",
)
_ROLES: tuple[Role, ...] = get_args(Role)
_NAME = re.compile(r"[\w+.-]+")


def packaged_suites() -> dict[str, Path]:
    """Name → file of the suites that the package carries."""
    folder = Path(__file__).resolve().parent / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name: str) -> Suite:
    """A suite by file, or by the name of one that the package carries.

    Raises:
        ConfigError: no such suite, or something wrong in it; file and line are named.
    """
    packaged = packaged_suites()
    path = Path(name).expanduser()
    if name in packaged and not path.is_file():
        path = packaged[name]
    elif not path.is_file():
        raise ConfigError(
            f"{name!r} is neither a file nor a suite of the package: "
            f"{unknown('suite', name, packaged)} `l2-harness compare --list` shows them."
        )
    shown = f"{path.stem} (suite of the package)" if path in packaged.values() else name
    entry = read_marked(path)
    return read_suite(Entry(entry.value, entry.raw, shown, entry.line), path.stem)


def parse_suite(text: str, file: str = "suite") -> Suite:
    """As :func:`load_suite`, of a text."""
    return read_suite(marked(text, file), Path(file).stem)


def read_suite(entry: Entry, default_name: str) -> Suite:
    """A suite from its marked document.

    Raises:
        ConfigError: an unknown key, a value of the wrong kind, a broken inheritance.
    """
    top = entry.allow("the suite", _TOP)
    for needed in ("models", "tasks", "methods"):
        if needed not in top:
            raise entry.error(f"the suite has no `{needed}`. It needs models, tasks and methods.")
    suite = Suite(
        name=top["name"].text("name") if "name" in top else default_name,
        description=top["description"].text("description") if "description" in top else "",
        models=_models(top["models"]),
        tasks=_tasks(top),
        methods=_methods(top["methods"]),
        seeds=_seeds(top["seeds"]) if "seeds" in top else (0,),
        batch_size=_batch_size(top["batch_size"]) if "batch_size" in top else 1,
        device=top["device"].text("device") if "device" in top else None,
        exclude=tuple(e.text("exclude") for e in top["exclude"].sequence("exclude"))
        if "exclude" in top
        else (),
        published=_published(top.get("published")),
        file=entry.file,
    )
    plain = [method for method in suite.methods if method.role == "plain"]
    if len(plain) != 1:
        names = ", ".join(method.name for method in plain) or "none"
        raise top["methods"].error(
            f"one method has `role: plain`, the one that all are compared with; here: {names}. "
            "A second plain run is `role: null`."
        )
    return suite


# -- models -------------------------------------------------------------------------------


def _models(entry: Entry) -> tuple[ModelRow, ...]:
    rows = []
    for name, model in entry.mapping("models").items():
        keys = model.allow(f"model {name!r}", _MODEL)
        args = _arguments(keys.get("args"), f"model {name!r}")
        rows.append(
            ModelRow(
                name=_checked_name(name, model, "model"),
                model_class=keys["class"].text("class") if "class" in keys else DEFAULT_CLASS,
                args={key: e.plain() for key, e in args.items()},
                batch_size=_batch_size(keys["batch_size"]) if "batch_size" in keys else None,
                place=model,
                places=args,
            )
        )
    if not rows:
        raise entry.error("`models` is empty. Give one, such as demo: {args: {pretrained: demo}}.")
    return tuple(rows)


def _arguments(entry: Entry | None, what: str) -> dict[str, Entry]:
    args = entry.mapping(f"args of {what}") if entry is not None else {}
    for name in ("batch_size", "device"):
        if name in args:
            where = "beside args, or for the whole suite" if name == "batch_size" else "the suite"
            raise args[name].error(f"{what}: {name} is no model argument here: give it {where}.")
    return args


# -- tasks --------------------------------------------------------------------------------


def _tasks(top: Mapping[str, Entry]) -> tuple[TaskRow, ...]:
    common = {name: top[name] for name in _TASK_OPTIONS if name in top}
    rows: dict[str, TaskRow] = {}
    for entry in top["tasks"].sequence("tasks"):
        own: dict[str, Entry] = {}
        if isinstance(entry.value, dict):
            own = entry.allow("a task", ("task", "name", *_TASK_OPTIONS))
            if "task" not in own:
                raise entry.error("a task given as a mapping names it: {task: l2_gsm8k, limit: 50}")
        task = own["task"].text("task") if own else entry.text("a task")
        name = own["name"].text("name") if "name" in own else task
        _checked_name(name, entry, "task")
        if name in rows:
            first = rows[name].place
            raise entry.error(
                f"task {name!r} is there already, on line {first.line if first else '?'}. "
                "Give one of the two another `name`, or remove it."
            )
        rows[name] = TaskRow(name=name, task=task, place=entry, **_task_options(common, own))
    if not rows:
        raise top["tasks"].error("`tasks` is empty. `l2-harness tasks list` shows what there is.")
    return tuple(rows.values())


def _task_options(common: Mapping[str, Entry], own: Mapping[str, Entry]) -> dict[str, Any]:
    options = {name: _TASK_READERS[name](entry) for name, entry in common.items()}
    for name in _TASK_OPTIONS:
        if name in own:
            value = _TASK_READERS[name](own[name])
            options[name] = {**options.get(name, {}), **value} if isinstance(value, dict) else value
    return options


def _limit(entry: Entry) -> int | float | None:
    value = entry.value
    if value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or value <= 0 or (value >= 1 and value != int(value)):
        raise entry.error(
            f"limit is a number of documents, or a share of them below 1; this is {entry.raw!r}."
        )
    return int(value) if value >= 1 else float(value)


def _settings(what: str) -> Any:
    def read(entry: Entry) -> dict[str, Any]:
        return {name: value.plain() for name, value in entry.mapping(what).items()}

    return read


def _template(entry: Entry) -> bool | str:
    return entry.value if isinstance(entry.value, bool) else entry.text("apply_chat_template")


_TASK_READERS: dict[str, Any] = {
    "limit": _limit,
    "num_fewshot": lambda entry: entry.whole("num_fewshot", 0),
    "apply_chat_template": _template,
    "system_instruction": lambda entry: entry.text("system_instruction"),
    "fewshot_as_multiturn": lambda entry: entry.boolean("fewshot_as_multiturn"),
    "gen_kwargs": _settings("gen_kwargs"),
    "metadata": _settings("metadata"),
    "metric": lambda entry: entry.text("metric"),
    "include_path": lambda entry: tuple(
        e.text("include_path") for e in entry.sequence("include_path")
    ),
}


# -- methods ------------------------------------------------------------------------------


def _methods(entry: Entry) -> tuple[Method, ...]:
    entries = entry.mapping("methods")
    if not entries:
        raise entry.error("`methods` is empty. Give at least plain: {role: plain}.")
    found: dict[str, Method] = {}
    for name in entries:
        _method(name, entries, found, ())
    return tuple(found[name] for name in entries)


def _method(
    name: str, entries: Mapping[str, Entry], found: dict[str, Method], below: tuple[str, ...]
) -> Method:
    """The method ``name``, read after what it extends."""
    if name in found:
        return found[name]
    entry = entries[name]
    if name in below:
        chain = " → ".join((*below[below.index(name) :], name))
        raise entry.error(f"methods extend one another in a circle: {chain}. Break it at one.")
    what = f"method {name!r}"
    keys = entry.allow(what, _METHOD)
    _checked_name(name, entry, "method")
    base = Method(name=name)
    if "extends" in keys:
        parent = keys["extends"].text("extends")
        if parent not in entries:
            raise keys["extends"].error(f"{what} extends an {unknown('method', parent, entries)}")
        base = _method(parent, entries, found, (*below, name))
    found[name] = _over(base, name, entry, keys)
    return found[name]


def _over(base: Method, name: str, entry: Entry, keys: Mapping[str, Entry]) -> Method:
    """What a method says, over what it extends. A null takes an inherited argument away."""
    what = f"method {name!r}"
    places = {**base.places, **_arguments(keys.get("args"), what)}
    gen_kwargs = dict(base.gen_kwargs)
    if "gen_kwargs" in keys:
        gen_kwargs |= _settings(f"gen_kwargs of {what}")(keys["gen_kwargs"])
    own_batch = keys.get("batch_size")
    return Method(
        name=name,
        role=_role(keys["role"]) if "role" in keys else _inherited_role(base),
        model_class=_model_class(what, keys) or base.model_class,
        args={key: e.plain() for key, e in places.items() if e.plain() is not None},
        gen_kwargs={key: value for key, value in gen_kwargs.items() if value is not None},
        batch_size=_batch_size(own_batch) if own_batch else base.batch_size,
        seeds=_seeds(keys["seeds"]) if "seeds" in keys else base.seeds,
        description=keys["description"].text("description") if "description" in keys else "",
        place=entry,
        places=places,
    )


def _inherited_role(base: Method) -> Role:
    """There is one plain run: what extends it is a method of its own."""
    return "method" if base.role == "plain" else base.role


def _role(entry: Entry) -> Role:
    word = entry.raw.strip()
    for role in _ROLES:
        if word == role:
            return role
    raise entry.error(f"role: {unknown('role', word, _ROLES)}")


def _model_class(what: str, keys: Mapping[str, Entry]) -> str | None:
    if "class" in keys and "engine" in keys:
        raise keys["engine"].error(f"{what} has both `class` and `engine`: leave one out.")
    if "engine" in keys:
        word = keys["engine"].text("engine")
        found = class_of_engine(word)
        if found is None:
            raise keys["engine"].error(
                f"{what}: {unknown('engine', word, engines())} For any other model class of "
                "lm-eval write `class:`."
            )
        return found
    return keys["class"].text("class") if "class" in keys else None


# -- the rest -----------------------------------------------------------------------------


def _published(entry: Entry | None) -> tuple[Published, ...]:
    if entry is None:
        return ()
    found = []
    for pattern, figure in entry.mapping("published").items():
        if pattern.count("/") != 2:
            raise figure.error(f"published: {pattern!r} is to be model/task/method.")
        keys = {"value": figure}
        if isinstance(figure.value, dict):
            keys = figure.allow(f"published {pattern!r}", ("value", "source"))
        value = keys["value"].value if "value" in keys else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise figure.error(f"published: {pattern!r} has no number as its value.")
        source = keys["source"].text("source") if "source" in keys else ""
        found.append(Published(pattern, float(value), source))
    return tuple(found)


def _seeds(entry: Entry) -> tuple[int, ...]:
    seeds = tuple(e.whole("a seed", 0) for e in entry.sequence("seeds"))
    if not seeds or len(set(seeds)) < len(seeds):
        raise entry.error(f"seeds are different whole numbers, such as [0, 1]; these: {seeds}.")
    return seeds


def _batch_size(entry: Entry) -> int | str:
    if entry.raw.startswith("auto"):
        return entry.raw
    return entry.whole("batch_size", 1)


def _checked_name(name: str, entry: Entry, kind: str) -> str:
    if not _NAME.fullmatch(name) or not name.strip("."):
        raise entry.error(
            f"{kind} {name!r} would name a folder: use letters, digits, and . _ - + only"
            + (", and give the task's path as `task:`." if kind == "task" else ".")
        )
    return name
