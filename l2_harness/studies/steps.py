"""Commands run one after another, each once: what is done is skipped, what it took is kept."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from l2_harness.whole_files import write_atomically

FOLDER = "steps"
#: Command → module, so that a step runs in this very environment.
PROGRAMS = {"l2-harness": "l2_harness.cli", "lm_eval": "lm_eval"}


@dataclass(frozen=True)
class Step:
    """A command that is run in the study's folder.

    Attributes:
        name: of the step, and of its files.
        command: of ``l2-harness`` or ``lm_eval``, as it would be typed.
    """

    name: str
    command: str


@dataclass(frozen=True)
class Taken:
    """What a step took, all attempts that came to an end together but for the memory.

    Attributes:
        key: of the command, the suite that it reads, and all steps before it.
        wall, cpu: seconds.
        peak_mib: the largest resident memory of the last attempt.
    """

    key: str
    command: str
    wall: float
    cpu: float
    peak_mib: float
    attempts: int
    done: bool


class StepFailedError(RuntimeError):
    """A step ended with an error; the log is named."""


def run_step(step: Step, out: Path, after: str = "") -> Taken:
    """Run a step unless it is done already, in the same way and after the same steps.

    Args:
        step: to be run.
        out: the study's folder.
        after: the key of the step before it.

    Raises:
        StepFailedError: it ended with another status than 0.
    """
    key = _key(step, out, after)
    before = read_taken(out, step.name)
    if before is not None and before.key != key:
        before = None
    if before is not None and before.done:
        return before
    log = out / FOLDER / f"{step.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"[{time.strftime('%H:%M:%S')}] {step.name}: {step.command}", flush=True)
    status, wall, cpu, peak = _run(shlex.split(step.command), out, log)
    taken = Taken(
        key,
        step.command,
        round(wall + (before.wall if before else 0), 1),
        round(cpu + (before.cpu if before else 0), 1),
        round(peak, 1),
        1 + (before.attempts if before else 0),
        status == 0,
    )
    text = json.dumps(asdict(taken), indent=2) + "\n"
    write_atomically(log.with_suffix(".json"), text.encode("utf-8"))
    if status != 0:
        raise StepFailedError(f"{step.name} ended with status {status}; see {log}.")
    return taken


def _key(step: Step, out: Path, after: str) -> str:
    suites = [out / word for word in shlex.split(step.command) if word.endswith(".yaml")]
    parts = (after, step.command, *(suite.read_text("utf-8") for suite in suites))
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()[:16]


def read_taken(out: Path, name: str) -> Taken | None:
    """What a step took so far; None where it was never run to an end."""
    file = out / FOLDER / f"{name}.json"
    return Taken(**json.loads(file.read_text("utf-8"))) if file.is_file() else None


def write_table(steps: Sequence[Step], out: Path) -> None:
    """``steps.csv``: what each step took."""
    found = [(step.name, read_taken(out, step.name)) for step in steps]
    rows = [{"step": name, **asdict(taken)} for name, taken in found if taken is not None]
    with (out / "steps.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["step", *(column.name for column in fields(Taken))])
        table.writeheader()
        table.writerows(rows)


def _run(words: Sequence[str], cwd: Path, log: Path) -> tuple[int, float, float, float]:
    """Status, wall seconds, CPU seconds and MiB of the process.

    Linux counts the memory of the process that starts another as the other's: it is to stay small.
    """
    started = time.perf_counter()
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAMS[words[0]], *words[1:]],
            cwd=cwd,
            stdout=file,
            stderr=file,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    # Linux counts in KiB, macOS in bytes
    unit = 2**20 if sys.platform == "darwin" else 2**10
    cpu = usage.ru_utime + usage.ru_stime
    return process.returncode, time.perf_counter() - started, cpu, usage.ru_maxrss / unit
