"""The processes of a run: which one this is under accelerate, and that no other run interferes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l2_harness.compare.shards import WHOLE, Shard
from l2_harness.config.errors import ConfigError


def this_rank() -> int:
    """This process's number over all nodes, as ``accelerate launch`` and torchrun set it."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Processes that work on the same run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_all() -> None:
    """Until all processes are here."""
    if world_size() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


@contextmanager
def only_one_run(out: Path, shard: Shard = WHOLE) -> Iterator[None]:
    """Keeps a second run out of the same folder; a killed one's hold ends with it.

    Shards of the same number of runs have no cell in common, and keep out only themselves.

    Raises:
        ConfigError: there is one at work, or the folder can't be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out} can't be made: {error.strerror}.") from error
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    if this_rank() != 0:
        yield
        return
    own = f".lock-{shard.number}-of-{shard.of}"
    with open(out / own, "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # its own is held by now: of two that begin at once, one sees the other
            for path in out.glob(".lock-*"):
                if not path.name.endswith(f"-of-{shard.of}"):
                    with path.open("rb") as other:
                        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"another run is at work in {out}. Wait for it, end it, or pass another --out."
            ) from error
        yield


@contextmanager
def few_threads(wanted: bool) -> Iterator[None]:
    """One thread for the embedded model.

    Its matrices are too small to gain from more, and threads that wait for one another slow it
    down a hundredfold where another job keeps the cores busy.
    """
    import torch

    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
