"""``l2-harness bench startup``: what it takes until something happens."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from typing import Any

from l2_harness.bench.child import L2_HARNESS, LM_EVAL, run_child
from l2_harness.bench.figure import Figure
from l2_harness.bench.rounds import Say
from l2_harness.paths import demo_model_path, tasks_dir
from l2_harness.registration.startup_cost import WITH, StartupCost, measure_startup


@dataclass(frozen=True)
class StartCost:
    """Starts of interpreters, and seconds of CPU time of commands that end at once.

    Attributes:
        hook: bare interpreters with the import hook and without.
        commands: of every round, by name.
    """

    hook: StartupCost
    commands: dict[str, list[float]]

    @property
    def figures(self) -> list[Figure]:
        """What the hook adds, and what the commands take."""
        added = next(row for row in self.hook.rows() if row.environment == WITH)
        assert added.added is not None
        median = {name: statistics.median(times) for name, times in self.commands.items()}
        over = median["lm_eval --model l2hf"] - median["lm_eval --model hf"]
        hook = f"95 % interval {added.added_interval()}, added to a bare start"
        return [
            Figure.of("startup", "import hook, ms", added.added, note=hook),
            Figure.of("startup", "l2-harness --help, s", median["l2-harness --help"]),
            Figure.of("startup", "lm_eval with l2hf over hf, s", over, note="CPU time"),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {"hook": self.hook.as_dict(), "commands": self.commands}


def measure_starts(rounds: int, command_rounds: int, say: Say) -> StartCost:
    """Time starts, in an order drawn anew each round.

    Args:
        rounds: starts of each kind of bare interpreter.
        command_rounds: runs of each command.
        say: told what is being run.
    """
    say("bare interpreters")
    hook = measure_startup(rounds)
    rng = random.Random(0)
    run = commands()
    times: dict[str, list[float]] = {name: [] for name in run}
    for round_ in range(command_rounds):
        for name in rng.sample(list(run), len(run)):
            say(f"{name}: round {round_ + 1} of {command_rounds}")
            times[name].append(run_child(run[name]).cpu_seconds)
    return StartCost(hook, times)


def commands() -> dict[str, list[str]]:
    """``lm_eval`` answers one request with one token, recording as it does by default."""
    answered = [
        *("--tasks", "l2_demo", "--include_path", str(tasks_dir()), "--limit", "1"),
        *("--device", "cpu", "--gen_kwargs", "max_gen_toks=1"),
    ]
    model = f"pretrained={demo_model_path()}"
    evaluations = {
        f"lm_eval --model {name}": [*LM_EVAL, "--model", name, "--model_args", model, *answered]
        for name in ("hf", "l2hf")
    }
    return {"l2-harness --help": [*L2_HARNESS, "--help"], **evaluations}
