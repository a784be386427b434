"""Long commands, killed at random moments and run again: the same comes out as without a kill.

    python tests/reliability/kills.py --times 200 --out kills.json

Each command is run once without interruption. Then, over and over: in a new folder it is killed
one to three times (SIGKILL, SIGINT or SIGTERM; after a random time, just after a random change of
its files, or in a fresh interpreter that is still starting), then run to its end, and what the
folder holds is compared with what the uninterrupted run left. Ends with status 1 if anything is
not as it should be.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from long_commands import COMMANDS, LongCommand, make_inputs
from outcomes import differences, litter, outcome, unreadable
from processes import GOES_ON, LOG, Forks, Fresh, Running, wait

SIGNALS = {signal.SIGKILL: 4, signal.SIGINT: 4, signal.SIGTERM: 2}
MOMENTS = {"time": 4, "write": 4, "start": 1}
#: Seconds in which a fresh interpreter is still starting.
START = 8.0


@dataclass
class Whole:
    """What an uninterrupted run was like."""

    outcome: dict[str, Any]
    seconds: float
    changes: int


@dataclass
class Campaign:
    """Kills, and what came of them.

    Attributes:
        forks: makes the processes.
        root: where all folders are.
        rng: draws signals and moments.
        kills: command → moment and signal → how many.
        reruns: command → how many runs to the end after kills came out the same.
        faults: what was not as it should be.
        left: temporaries that a finished rerun left.
    """

    forks: Forks
    root: Path
    rng: random.Random
    kills: dict[str, Counter[str]] = field(default_factory=dict)
    reruns: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    folders: int = 0

    @property
    def count(self) -> int:
        """Kills so far."""
        return sum(kills.total() for kills in self.kills.values())

    def whole(self, command: LongCommand) -> Whole:
        """The command without a kill."""
        folder, start = self._folder(), time.monotonic()
        running = self.forks.start(command.words(self.root / "base"), folder)
        changes, before = 0, None
        while running.status() is None:
            changes, before = changes + ((now := _names(folder)) != before), now
            time.sleep(0.003)
        seconds = time.monotonic() - start
        assert running.status() == 0, _log(folder)
        return Whole(outcome(folder), seconds, changes)

    def trial(self, command: LongCommand, whole: Whole) -> None:
        """Some kills in one folder, then the run to the end."""
        folder, words = self._folder(), command.words(self.root / "base")
        for _ in range(self.rng.randint(1, 3)):
            self._kill(command.name, words, folder, whole)
        status = self.forks.run(words, folder)
        if status:
            self._fault(command.name, folder, f"ended with {status}: {_log(folder)[-600:]}")
        elif different := differences(outcome(folder), whole.outcome):
            self._fault(command.name, folder, f"other content: {', '.join(different)}")
        else:
            self.reruns[command.name] += 1
            self.left.update({f"{command.name}: {name}": 1 for name in litter(folder)})
            shutil.rmtree(folder)

    def _kill(self, name: str, words: Sequence[str], folder: Path, whole: Whole) -> None:
        moment, number = _drawn(self.rng, MOMENTS), _drawn(self.rng, SIGNALS)
        running: Running
        if moment == "start":
            running = Fresh(words, folder)
            self._wait_for(running, self.rng.uniform(0, START))
        else:
            running = self.forks.start(words, folder)
            if moment == "time":
                self._wait_for(running, self.rng.uniform(0, 1.05 * whole.seconds))
            else:
                self._wait_for_change(running, folder, self.rng.randint(1, whole.changes))
        if running.status() is not None:
            return
        os.kill(running.pid, number)
        status = wait(running)
        self.kills.setdefault(name, Counter())[f"{moment} {signal.Signals(number).name}"] += 1
        if number == signal.SIGINT and status != 0:
            self._check_interrupted(name, folder, moment)
        for what in unreadable(folder):
            self._fault(name, folder, f"unreadable after {signal.Signals(number).name}: {what}")

    def _check_interrupted(self, name: str, folder: Path, moment: str) -> None:
        """One line that says how to go on, and no traceback."""
        log = _log(folder)
        begun = "l2_harness" in log or "lm_eval" in log
        if not log.strip() or (moment == "start" and not begun and GOES_ON not in log):
            self.left[f"{name}: SIGINT before the program had begun"] += 1
        elif GOES_ON not in log[-400:] or "Traceback" in log:
            self._fault(name, folder, f"after SIGINT at {moment}: {log[-600:]}")

    def _wait_for(self, running: Running, seconds: float) -> None:
        end = time.monotonic() + seconds
        while running.status() is None and time.monotonic() < end:
            time.sleep(min(0.005, max(0.0, end - time.monotonic())))

    def _wait_for_change(self, running: Running, folder: Path, number: int) -> None:
        """Until its files have changed so often, and up to 30 ms more."""
        before = _names(folder)
        while running.status() is None and number:
            now = _names(folder)
            number -= now != before
            before = now
            time.sleep(0.002)
        time.sleep(self.rng.uniform(0, 0.03))

    def _folder(self) -> Path:
        self.folders += 1
        folder = self.root / f"run{os.getpid()}-{self.folders}"
        folder.mkdir()
        return folder

    def _fault(self, name: str, folder: Path, what: str) -> None:
        self.faults.append(f"{name} ({folder.name}): {what}")
        print(f"FAULT {self.faults[-1]}", flush=True)


def _drawn(rng: random.Random, weights: dict[Any, int]) -> Any:
    return rng.choices(list(weights), list(weights.values()))[0]


def _names(folder: Path) -> frozenset[tuple[str, int]]:
    """Every file with its size."""
    found = set()
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found.add((f"{parent}/{name}", os.stat(f"{parent}/{name}").st_size))
            except FileNotFoundError:
                continue
    return frozenset(found)


def _log(folder: Path) -> str:
    return (folder / LOG).read_text("utf-8", "replace")


def campaign(
    root: Path, times: int, seed: int, names: Sequence[str], done_so_far: Callable[[Any], object]
) -> dict[str, Any]:
    """So many kills, the commands in turn; what was found so far is told after each folder."""
    done = Campaign(Forks(), root, random.Random(seed))
    commands = [command for command in COMMANDS if command.name in names]
    if any(command.reads for command in commands) and not (root / "base").exists():
        make_inputs(root / "base", done.forks.run)
    started = time.monotonic()

    def found() -> dict[str, Any]:
        return {
            "seed": seed,
            "kills": done.count,
            "minutes": round((time.monotonic() - started) / 60, 1),
            "by_command": {
                name: {"kills": dict(sorted(kills.items())), "same_reruns": done.reruns[name]}
                for name, kills in done.kills.items()
            },
            "left": dict(done.left),
            "faults": done.faults,
        }

    wholes = [(command, done.whole(command)) for command in commands]
    for command, whole in itertools.cycle(wholes):
        if done.count >= times:
            break
        done.trial(command, whole)
        print(f"{done.count} kills, {len(done.faults)} faults: {command.name}", flush=True)
        done_so_far(found())
    return found()


def main() -> None:
    """The campaign as a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200, help="kills over all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--folder", type=Path, help="for inputs and for what faults left")
    parser.add_argument("--out", type=Path, help="JSON file for what was found")
    given = parser.parse_args()
    known = [command.name for command in COMMANDS]
    if not {*given.command} <= {*known}:
        parser.error(f"--command knows {', '.join(known)}")

    def write(found: Any) -> None:
        if given.out is not None:
            given.out.write_text(json.dumps(found, indent=1) + "\n")

    with tempfile.TemporaryDirectory() as scratch:
        root, names = given.folder or Path(scratch), given.command or known
        found = campaign(root, given.times, given.seed, names, write)
    write(found)
    print(json.dumps(found, indent=1))
    sys.exit(1 if found["faults"] else 0)


if __name__ == "__main__":
    main()
