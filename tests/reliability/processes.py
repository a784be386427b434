"""Commands as processes of their own: forked from one that has all libraries, or started anew."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
#: stdout and stderr of the last attempt in a folder.
LOG = ".log"
#: What an interrupted command tells.
GOES_ON = "the same command goes on"

#: Environment of commands that need no network and show no progress.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}


class Running(Protocol):
    """A command under way."""

    pid: int

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""


class Forks:
    """Makes processes that have imported everything. To be made before any thread is."""

    def __init__(self) -> None:
        os.environ.update(QUIET)
        # the server takes its search path from here alone
        paths = [str(HERE), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["preloaded"])

    def start(self, words: Sequence[str], folder: Path, log: Path | None = None) -> Running:
        """Run a command in a folder, what it prints going to a file there or elsewhere."""
        told = log or folder / LOG
        told.unlink(missing_ok=True)
        args = (list(words), str(folder), str(told))
        process: Any = self._context.Process(target=_command, args=args)
        process.start()
        while not told.exists() and process.exitcode is None:  # before, it is none of ours
            time.sleep(0.001)
        return _Forked(process)

    def run(self, words: Sequence[str], folder: Path, log: Path | None = None) -> int:
        """Run it to its end; its exit status."""
        return wait(self.start(words, folder, log))


class _Forked:
    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid: int = process.pid

    def status(self) -> int | None:
        found: int | None = self._process.exitcode
        return found


class Fresh:
    """A command in an interpreter of its own."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        module = {"l2-harness": "l2_harness.cli", "lm_eval": "lm_eval"}[words[0]]
        with (folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *words[1:]],
                cwd=folder,
                stdout=log,
                stderr=log,
                preexec_fn=interruptible,
            )
        self.pid = self._process.pid

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()


def wait(running: Running, pause: float = 0.005) -> int:
    """A command's exit status, once it has ended."""
    while (status := running.status()) is None:
        time.sleep(pause)
    return status


def interruptible() -> None:
    """SIGINT as at a terminal, also where this program runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _command(words: list[str], folder: str, told: str) -> None:
    """What a forked process does."""
    import torch

    # its pool of threads is made anew by the first call after a fork, which must be one thread's
    torch.set_num_threads(1)
    interruptible()
    os.chdir(folder)
    log = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = list(words)
    status: object = 0
    try:
        _entry_point(words[0])()
    except SystemExit as end:
        status = end.code or 0
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


def _entry_point(program: str) -> Any:
    if program == "l2-harness":
        from l2_harness.cli import main

        return main
    from lm_eval.__main__ import cli_evaluate

    return cli_evaluate
