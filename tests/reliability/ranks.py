"""Data-parallel evaluations: in several processes, killed, gone on with in another number of them.

    python tests/reliability/ranks.py --out ranks.json

Each case runs one of the commands of ``long_commands`` in a folder of its own, once or twice: under
torchrun, under accelerate or as a single process; to its end, or until all processes or one of them
have been killed. What a kill leaves has to be readable, a command that has lost a process has to
end with an error within :data:`PATIENCE` seconds, and what is there at the end has to be what one
uninterrupted process leaves. Ends with status 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from long_commands import COMMANDS
from outcomes import differences, outcome, unreadable
from processes import GOES_ON, LOG, QUIET, interruptible

#: Seconds that a command has to end in, whole or after one of its processes was killed.
PATIENCE = 600.0

_ALONE = [sys.executable, "-m", "lm_eval"]
_TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
#: accelerate's --cpu starts one process, whatever --num_processes says; several on CPUs are made by
#: this and ACCELERATE_USE_CPU.
_ACCELERATE = [
    *[sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"],
    *["--mixed_precision", "no", "--dynamo_backend", "no", "--num_processes"],
]
_LAUNCHERS = {"torchrun": _TORCHRUN, "accelerate": _ACCELERATE}
#: lm-eval's hash of a task is of its samples in the order in which the processes give them.
_OF_THE_ORDER = "task_hashes"


@dataclass(frozen=True)
class Step:
    """One start of the command.

    Attributes:
        processes: how many.
        kill: a rank, or ``"all"``; ``"ctrl-c"`` for SIGINT to all of them, as from a terminal; None
            to let it run to its end.
        parts: how many trace files are there when it is killed.
        launcher: of several processes.
    """

    processes: int
    kill: int | str | None = None
    parts: int = 2
    launcher: str = "torchrun"

    def words(self) -> list[str]:
        """What starts lm-eval."""
        if self.processes == 1:
            return _ALONE
        return [*_LAUNCHERS[self.launcher], str(self.processes), "-m", "lm_eval"]


_GREEDY, _SAMPLED = "lm_eval techniques", "lm_eval samples"

#: name → the command, and its starts in one folder
CASES: dict[str, tuple[str, list[Step]]] = {
    "3 under torchrun": (_GREEDY, [Step(3)]),
    "2 under accelerate": (_GREEDY, [Step(2, launcher="accelerate")]),
    "samples, 3": (_SAMPLED, [Step(3)]),
    "2 killed, then 1": (_GREEDY, [Step(2, "all"), Step(1)]),
    "2 killed, then 3": (_GREEDY, [Step(2, "all"), Step(3)]),
    "1 killed, then 2": (_GREEDY, [Step(1, "all"), Step(2)]),
    "2 under torchrun and Ctrl-C, then 2": (_GREEDY, [Step(2, "ctrl-c"), Step(2)]),
    "2 under accelerate and Ctrl-C, then 1": (
        _GREEDY,
        [Step(2, "ctrl-c", launcher="accelerate"), Step(1)],
    ),
    "samples, 2 killed, then 3": (_SAMPLED, [Step(2, "all"), Step(3)]),
    "samples, 3 killed, then 1": (_SAMPLED, [Step(3, "all"), Step(1)]),
    "rank 0 of 2 killed, then 2": (_GREEDY, [Step(2, 0), Step(2)]),
    "rank 1 of 2 killed, then 2": (_GREEDY, [Step(2, 1), Step(2)]),
    "rank 2 of 3 killed, then 2": (_GREEDY, [Step(3, 2), Step(2)]),
    "rank 1 of 2 under accelerate killed, then 2": (
        _GREEDY,
        [Step(2, 1, launcher="accelerate"), Step(2, launcher="accelerate")],
    ),
}


def found(folder: Path) -> dict[str, Any]:
    """What is compared."""
    return {
        name: {k: v for k, v in content.items() if k != _OF_THE_ORDER}
        if isinstance(content, dict)
        else content
        for name, content in outcome(folder).items()
    }


def wholes(names: Sequence[str], root: Path) -> dict[str, dict[str, Any]]:
    """What one uninterrupted process leaves of each command."""
    results = {}
    for name in names:
        folder = root / f"whole {name}"
        folder.mkdir()
        status, _ = run(Step(1), _arguments(name), folder)
        assert status == 0, _log(folder)
        results[name] = found(folder)
    return results


def check(name: str, wholes: dict[str, dict[str, Any]], root: Path) -> dict[str, Any]:
    """Run one case; its ``faults``, and the ``seconds`` in which commands ended after a kill."""
    command, steps = CASES[name]
    folder, faults, seconds = root / name, [], []
    folder.mkdir()
    for step in steps:
        status, ended = run(step, _arguments(command), folder)
        if step.kill is None and status:
            faults.append(f"{step} ended with {status}: {_log(folder)}")
        if step.kill is not None:
            seconds.append(round(ended, 1))
            faults += [f"{step}: unreadable: {what}" for what in unreadable(folder)]
            if step.kill == "ctrl-c" and _all_of_log(folder).count(GOES_ON) != 1:
                faults.append(f"{step}: not one line on how to go on: {_log(folder)}")
            if status in (0, None):
                faults.append(f"{step}: ended with {status} after {ended:.0f} s: {_log(folder)}")
    if different := differences(found(folder), wholes[command]):
        faults.append(f"other content: {', '.join(different)}")
    return {"faults": faults, "ended_after_kill_s": seconds}


def run(step: Step, arguments: Sequence[str], folder: Path) -> tuple[int | None, float]:
    """Start it, kill what is to be killed.

    Returns:
        The exit status, None for one that had to be stopped; and how many seconds it took, from the
        kill on where there was one.
    """
    parts = _parts(folder)
    with (folder / LOG).open("wb") as log:
        process = psutil.Popen(
            [*step.words(), *arguments],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=_environment(),
            preexec_fn=interruptible,
        )
    began = time.monotonic()
    if step.kill is not None:
        _wait(process, lambda: len(_parts(folder) - parts) >= step.parts)
        assert process.poll() is None, f"over before it could be killed: {_log(folder)}"
        began = time.monotonic()
        _kill(process, step.kill)
    try:
        status = process.wait(PATIENCE)
    except psutil.TimeoutExpired:
        status = None
        _kill(process, "all")
    return status, time.monotonic() - began


def _kill(process: psutil.Process, which: int | str) -> None:
    family = [process, *process.children(recursive=True)]
    for one in family:
        if which == "ctrl-c" and (one == process or _rank(one) is not None):
            one.send_signal(signal.SIGINT)
        if which == "all" or _rank(one) == str(which):
            one.kill()
    if which == "all":
        psutil.wait_procs(family)


def _rank(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RANK")
    except psutil.Error:
        return None


def _wait(process: psutil.Popen, done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and not done() and time.monotonic() < end:
        time.sleep(0.02)


def _environment() -> dict[str, str]:
    return {**os.environ, **QUIET, "ACCELERATE_USE_CPU": "true"}


def _parts(folder: Path) -> set[Path]:
    return set(folder.glob("traces/part-*"))


def _arguments(name: str) -> list[str]:
    (command,) = (one for one in COMMANDS if one.name == name)
    return command.words(Path())[1:]


def _log(folder: Path) -> str:
    return _all_of_log(folder)[-1500:]


def _all_of_log(folder: Path) -> str:
    return (folder / LOG).read_text("utf-8", "replace")


def main() -> None:
    """All cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=list(CASES), help="repeatable")
    parser.add_argument("--folder", type=Path, help="where the runs are left")
    parser.add_argument("--out", type=Path, help="JSON file for what was found")
    given = parser.parse_args()
    names = given.case or list(CASES)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = given.folder or Path(scratch)
        root.mkdir(exist_ok=True)
        expected = wholes(sorted({CASES[name][0] for name in names}), root)
        for name in names:
            results[name] = check(name, expected, root)
            print(f"{name}: {results[name]}", flush=True)
            if given.out is not None:
                given.out.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if any(one["faults"] for one in results.values()) else 0)


if __name__ == "__main__":
    main()
