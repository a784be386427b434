"""A suite's file → :class:`~l2_harness.compare.suite.Suite`, methods with what they inherit.

Knows YAML and the shape of a suite; whether its models, tasks and arguments exist is
:mod:`~l2_harness.compare.suite_checks`' to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2_harness.compare.marked_yaml import Entry, marked, read_marked, unknown
from l2_harness.compare.suite import Method, ModelRow, Suite, TaskOptions, TaskRow
from l2_harness.config.errors import ConfigError
from l2_harness.config.options import option_names, read_options
from l2_harness.models.capabilities import class_of_engine, engines
from l2_harness.paths import expanded

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
    path = expanded(name)
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
    parts = ("models", "tasks", "methods")
    allowed = (*option_names(Suite), *parts, *option_names(TaskOptions))
    top = entry.allow("the suite", allowed)
    for needed in parts:
        if needed not in top:
            raise entry.error(f"the suite has no `{needed}`. It needs models, tasks and methods.")
    common = {name: own for name, own in top.items() if name in option_names(TaskOptions)}
    given: dict[str, Any] = {
        "name": default_name,
        "models": _models(top["models"]),
        "tasks": _tasks(top["tasks"], common),
        "methods": _methods(top["methods"]),
    }
    return read_options(Suite, top, file=entry.file, **given)


# -- models -------------------------------------------------------------------------------


def _models(entry: Entry) -> tuple[ModelRow, ...]:
    rows = []
    for name, model in entry.mapping("models").items():
        keys = model.allow(f"model {name!r}", option_names(ModelRow))
        own = {"name": _checked_name(name, model, "model"), "place": model}
        rows.append(read_options(ModelRow, keys, places=_places(keys), **own))
    if not rows:
        raise entry.error("`models` is empty. Give one, such as demo: {args: {pretrained: demo}}.")
    return tuple(rows)


def _places(keys: Mapping[str, Entry]) -> dict[str, Entry]:
    """Where each of the args was written."""
    return keys["args"].mapping("args") if "args" in keys else {}


# -- tasks --------------------------------------------------------------------------------


def _tasks(entry: Entry, common: Mapping[str, Entry]) -> tuple[TaskRow, ...]:
    rows: dict[str, TaskRow] = {}
    for one in entry.sequence("tasks"):
        own = {"task": one}
        if isinstance(one.value, dict):
            own = dict(one.allow("a task", option_names(TaskRow)))
        if "task" not in own:
            raise one.error("a task given as a mapping names it: {task: l2_gsm8k, limit: 50}")
        row = read_options(TaskRow, {"name": own["task"], **_over(common, own)}, place=one)
        _checked_name(row.name, one, "task")
        if row.name in rows:
            first = rows[row.name].place
            raise one.error(
                f"task {row.name!r} is there already, on line {first.line if first else '?'}. "
                "Give one of the two another `name`, or remove it."
            )
        rows[row.name] = row
    if not rows:
        raise entry.error("`tasks` is empty. `l2-harness tasks list` shows what there is.")
    return tuple(rows.values())


def _over(base: Mapping[str, Entry], own: Mapping[str, Entry]) -> dict[str, Entry]:
    """Keys over others, settings such as gen_kwargs name by name."""
    return {**base, **{name: entry.over(base.get(name)) for name, entry in own.items()}}


# -- methods ------------------------------------------------------------------------------


def _methods(entry: Entry) -> tuple[Method, ...]:
    entries = entry.mapping("methods")
    if not entries:
        raise entry.error("`methods` is empty. Give at least plain: {role: plain}.")
    methods = []
    for name, own in entries.items():
        _checked_name(name, own, "method")
        keys = _inherited(name, entries, ())
        methods.append(read_options(Method, keys, name=name, place=own, places=_places(keys)))
    plain = [method.name for method in methods if method.role == "plain"]
    if len(plain) != 1:
        raise entry.error(
            "one method has `role: plain`, the one that all are compared with; here: "
            f"{', '.join(plain) or 'none'}. A second plain run is `role: null`."
        )
    return tuple(methods)


def _inherited(name: str, entries: Mapping[str, Entry], below: tuple[str, ...]) -> dict[str, Entry]:
    """The keys of a method over those of what it extends."""
    entry, what = entries[name], f"method {name!r}"
    if name in below:
        chain = " → ".join((*below[below.index(name) :], name))
        raise entry.error(f"methods extend one another in a circle: {chain}. Break it at one.")
    keys = dict(entry.allow(what, (*option_names(Method), "extends", "engine")))
    if "engine" in keys:
        keys["class"] = _class_of_engine(what, keys)
    extends = keys.pop("extends", None)
    if extends is None:
        return keys
    if extends.raw not in entries:
        raise extends.error(f"{what} extends an {unknown('method', extends.raw, entries)}")
    base = _inherited(extends.raw, entries, (*below, name))
    # there is one plain run: what extends it is a method of its own
    own_only = ("description", "role") if _is_plain(base) else ("description",)
    return _over({k: e for k, e in base.items() if k not in own_only}, keys)


def _is_plain(keys: Mapping[str, Entry]) -> bool:
    return "role" in keys and keys["role"].raw.strip() == "plain"


def _class_of_engine(what: str, keys: dict[str, Entry]) -> Entry:
    engine = keys.pop("engine")
    if "class" in keys:
        raise engine.error(f"{what} has both `class` and `engine`: leave one out.")
    found = class_of_engine(engine.raw)
    if found is None:
        raise engine.error(
            f"{what}: {unknown('engine', engine.raw, engines())} For any other model class of "
            "lm-eval write `class:`."
        )
    return replace(engine, raw=found, value=found)


def _checked_name(name: str, entry: Entry, kind: str) -> str:
    if not _NAME.fullmatch(name) or not name.strip("."):
        raise entry.error(
            f"{kind} {name!r} would name a folder: use letters, digits, and . _ - + only"
            + (", and give the task's path as `task:`." if kind == "task" else ".")
        )
    return name
