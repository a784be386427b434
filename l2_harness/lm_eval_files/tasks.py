"""One lm-eval task by its name, without reading the 14,000 YAML files that lm-eval ships."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError, nearest
from l2_harness.paths import expanded

#: A task's name in its YAML; an indented one is a group's entry.
_NAME = re.compile(r"^[\"']?task[\"']?:[ \t]*[\"']?([^\s\"'#\[\]]+)", re.MULTILINE)


def load_task(
    name: str, include_path: Sequence[Path] = (), metadata: Mapping[str, Any] | None = None
) -> Any:
    """The lm-eval task of that name: from a folder given, this project's own, or lm-eval's.

    Raises:
        ConfigError: there is none, or it can't be loaded.
    """
    folders = tuple(str(expanded(path)) for path in include_path)
    return _loaded(name, folders, json.dumps(dict(metadata or {}), sort_keys=True, default=str))


@lru_cache(maxsize=8)
def _loaded(name: str, folders: tuple[str, ...], metadata: str) -> Any:
    from lm_eval.tasks import TaskManager

    from l2_harness.registration import register

    register()
    path = _yaml_of(name, [Path(folder) for folder in folders])
    manager = TaskManager(include_defaults=False, metadata=json.loads(metadata))
    try:
        return manager.load([str(path)])["tasks"][name]
    except ConfigError:
        raise
    except Exception as error:  # of the task's own code, or of its data set
        raise ConfigError(
            f"task {name!r} of {path} can't be loaded ({type(error).__name__}: {error})."
        ) from error


def _yaml_of(name: str, folders: Sequence[Path]) -> Path:
    import lm_eval

    from l2_harness.paths import tasks_dir

    known: dict[str, Path] = {}
    for folder in (*folders, tasks_dir(), Path(lm_eval.__file__).parent / "tasks"):
        known = {**task_files(folder), **known}
        if name in known:
            return known[name]
    match = nearest(name, known)
    hint = f"; did you mean {match!r}?" if match else "."
    raise ConfigError(
        f"lm-eval knows no task {name!r}{hint} Pass --include-path with the folder of its YAML."
    )


def task_files(folder: Path) -> dict[str, Path]:
    """Task → its file, the first of several, as lm-eval takes them."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("**/*.yaml"), key=Path.as_posix):
        for name in _NAME.findall(path.read_text("utf-8", "replace")):
            found.setdefault(name, path)
    return found
