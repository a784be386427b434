"""A trace_dir that vanishes while a run writes it, and one that two runs write at once.

    python tests/reliability/folders.py --times 3 --out folders.json

A run whose folder is moved away or deleted has to end with one line that says so; what was moved
away has to be readable, and once it is back the run goes on from it. Two runs at once have to leave
what each leaves alone, also where one of them is killed. Ends with status 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from long_commands import COMMANDS
from outcomes import differences, outcome, unreadable
from processes import LOG, Forks, Running, wait

GREEDY, SAMPLED = (
    next(command for command in COMMANDS if command.name == name).words(Path())
    for name in ("lm_eval techniques", "lm_eval samples")
)
#: Parts that are there when a folder vanishes or a run is killed: at most so many.
_MOST_PARTS = 3


@dataclass
class Trial:
    """Runs in one folder.

    Attributes:
        folder: where they run.
        forks: makes the processes.
        rng: draws moments.
        wholes: what the greedy and the sampled command leave alone.
        faults: what was not as it should be.
    """

    folder: Path
    forks: Forks
    rng: random.Random
    wholes: dict[str, dict[str, Any]]
    faults: list[str] = field(default_factory=list)

    @property
    def traces(self) -> Path:
        """The folder of traces that all runs here have."""
        return self.folder / "traces"

    def start(self, words: Sequence[str], log: str = LOG) -> Running:
        """Begin a run."""
        return self.forks.start(words, self.folder, self.folder / log)

    def until_parts(self, running: Running) -> None:
        """Wait for a random number of trace files."""
        wanted = self.rng.randint(1, _MOST_PARTS)
        while running.status() is None and len(list(self.traces.glob("part-*"))) < wanted:
            time.sleep(0.005)
        time.sleep(self.rng.uniform(0, 0.3))

    def expect(self, ok: bool, what: str, log: str = LOG) -> None:
        """Note a fault where something is not as it should be."""
        if not ok:
            told = (self.folder / log).read_text("utf-8", "replace")[-700:]
            self.faults.append(f"{what}: {told}")

    def expect_one_line(self, status: int) -> None:
        """The run ended with a line that says that its folder is gone."""
        lines = (self.folder / LOG).read_text("utf-8", "replace").strip().splitlines()
        told = lines[-1] if lines else ""
        is_told = told.startswith("error: ") and "The folder is gone" in told
        ok = status != 0 and is_told and not any("Traceback" in line for line in lines)
        self.expect(ok, f"ended with {status}")

    def expect_whole(self, name: str) -> None:
        """What one run, uninterrupted and alone, leaves."""
        different = differences(outcome(self.folder), self.wholes[name])
        self.expect(not different, f"other {', '.join(different)}")


def moved_away(trial: Trial) -> None:
    """Its files stay whole; put back, they are gone on with."""
    away = trial.folder / "away" / "traces"
    away.parent.mkdir()
    running = trial.start(GREEDY)
    trial.until_parts(running)
    trial.traces.rename(away)
    trial.expect_one_line(wait(running))
    n_parts = len(list(away.glob("part-*")))
    trial.expect(n_parts > 0 and not unreadable(away.parent), "what was moved away is damaged")
    shutil.rmtree(trial.traces, ignore_errors=True)
    away.rename(trial.traces)
    away.parent.rmdir()
    trial.expect(wait(trial.start(GREEDY)) == 0, "the rerun failed")
    trial.expect_whole("greedy")


def deleted(trial: Trial) -> None:
    """The same command begins anew."""
    running = trial.start(GREEDY)
    trial.until_parts(running)
    shutil.rmtree(trial.traces)
    trial.expect_one_line(wait(running))
    trial.expect(wait(trial.start(GREEDY)) == 0, "the rerun failed")
    trial.expect_whole("greedy")


def the_same_twice(trial: Trial) -> None:
    """Two processes of one run: responses that both have written count once."""
    both = [trial.start(GREEDY, f"log{i}") for i in range(2)]
    for i, running in enumerate(both):
        trial.expect(wait(running) == 0, "failed", f"log{i}")
        (trial.folder / f"log{i}").rename(trial.folder / LOG)
    trial.expect_whole("greedy")


def one_of_two_killed(trial: Trial) -> None:
    """The other one goes on."""
    first, second = trial.start(GREEDY, "log0"), trial.start(GREEDY, "log1")
    trial.until_parts(first)
    if first.status() is None:
        os.kill(first.pid, signal.SIGKILL)
    wait(first)
    trial.expect(wait(second) == 0, "failed", "log1")
    (trial.folder / "log0").unlink()
    (trial.folder / "log1").rename(trial.folder / LOG)
    trial.expect_whole("greedy")


def two_runs(trial: Trial) -> None:
    """Runs of other settings lie side by side: all that each leaves alone is there."""
    runs = [trial.start(GREEDY, "log0"), trial.start(SAMPLED, "log1")]
    for i, running in enumerate(runs):
        trial.expect(wait(running) == 0, "failed", f"log{i}")
    (trial.folder / "log0").unlink()
    (trial.folder / "log1").rename(trial.folder / LOG)
    alone = sorted(row for whole in trial.wholes.values() for row in whole["traces"])
    trial.expect(outcome(trial.folder)["traces"] == alone, "other traces")


CASES: dict[str, Callable[[Trial], None]] = {
    "moved away": moved_away,
    "deleted": deleted,
    "the same run twice": the_same_twice,
    "one of two killed": one_of_two_killed,
    "two runs": two_runs,
}


def campaign(root: Path, times: int, seed: int, names: Sequence[str]) -> dict[str, Any]:
    """Each case so often."""
    forks, wholes = Forks(), {}
    for name, words in (("greedy", GREEDY), ("sampled", SAMPLED)):
        whole = root / name
        whole.mkdir()
        assert forks.run(words, whole) == 0, (whole / LOG).read_text("utf-8")
        wholes[name] = outcome(whole)
    found: dict[str, Any] = {}
    for name in names:
        found[name] = {"tried": times, "faults": []}
        for number in range(times):
            folder = root / f"{name} {number}"
            folder.mkdir()
            trial = Trial(folder, forks, random.Random(f"{seed} {name} {number}"), wholes)
            CASES[name](trial)
            found[name]["faults"] += trial.faults
        print(f"{name}: {found[name]}", flush=True)
    return found


def main() -> None:
    """The campaign as a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="of each case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", action="append", choices=list(CASES), help="repeatable")
    parser.add_argument("--out", type=Path, help="JSON file for what was found")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = campaign(Path(scratch), given.times, given.seed, given.case or list(CASES))
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(1 if any(one["faults"] for one in found.values()) else 0)


if __name__ == "__main__":
    main()
