"""Commands that go through tasks: one that can't be done does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def each_task(tasks: Iterable[tuple[str, T]], do: Callable[[str, T], None]) -> None:
    """Do something for every task, with what belongs to it.

    Raises:
        ConfigError: at the end, for all tasks for which it could not be done.
        FileNotFoundError: of the only task.
    """
    from l2_harness.config.errors import ConfigError

    tasks = list(tasks)
    failed: dict[str, Exception] = {}
    for name, own in tasks:
        try:
            do(name, own)
        except (ValueError, FileNotFoundError) as error:
            if len(tasks) == 1 and isinstance(error, (ConfigError, FileNotFoundError)):
                raise
            failed[name] = error
    if len(tasks) == 1 and failed:
        raise ConfigError(str(failed[tasks[0][0]])) from failed[tasks[0][0]]
    if failed:
        why = " ".join(f"{name}: {error}" for name, error in failed.items())
        raise ConfigError(f"{len(failed)} of {len(tasks)} tasks could not be done. {why}")
