"""Commands and functions in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar


@dataclass(frozen=True)
class Child:
    """What a process that is over took, with its own children.

    Attributes:
        seconds: wall time.
        cpu_seconds: of all threads, which other work on the machine moves less.
        peak_bytes: the resident set at its largest.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


#: The command lines of this environment, whatever PATH says.
L2_HARNESS = (sys.executable, "-m", "l2_harness.cli")
LM_EVAL = (sys.executable, "-m", "lm_eval")


Result = TypeVar("Result")


def apart(function: Callable[..., Result], *args: object) -> Result:
    """What a function gives in a new process, which holds nothing of this one's memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def run_child(command: Sequence[str | Path], folder: Path | None = None) -> Child:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            end = said.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{' '.join(map(str, command))} ended {process.returncode}:\n{end}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Child(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)
