"""``l2-harness bench all``: every benchmark, one after the other."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from l2_harness.bench.child import L2_HARNESS
from l2_harness.bench.figure import Figure, markdown
from l2_harness.bench.machine import machine
from l2_harness.bench.rounds import Say

#: Name → the arguments of ``l2-harness bench``, and those of a quick run.
BENCHMARKS: dict[str, tuple[str, str]] = {
    "startup": ("startup", "startup --rounds 20 --command-rounds 2"),
    "decode": ("decode --cpu-time", "decode --cpu-time --rounds 2 --limit 64 --work greedy"),
    "interventions": (
        "interventions --cpu-time",
        "interventions --cpu-time --rounds 2 --limit 32",
    ),
    "strict": ("strict", "strict --rounds 2 --limit 16"),
    "commands": ("commands", "commands --rounds 1"),
    "selection": ("selection", "selection --questions 200"),
    "analyze": ("analyze", "analyze --questions 50 --resamples 200"),
    "growth": ("growth", "growth --quick"),
    "statistics": ("statistics", "statistics --quick"),
    "vllm": ("vllm", "vllm --rounds 2 --limit 8 --batch-size 8"),
    "gpu": ("gpu", "gpu --rounds 2 --shape qwen3-0.6b"),
}


@dataclass(frozen=True)
class Results:
    """What the benchmarks gave.

    Attributes:
        machine: on what, as of the last.
        found: what each printed, by name.
        waiting: what is not at hand for those that did not run, by name.
        failed: what those said that failed, by name.
    """

    machine: dict[str, Any]
    found: dict[str, dict[str, Any]]
    waiting: dict[str, str]
    failed: dict[str, str]

    @property
    def figures(self) -> list[Figure]:
        """Of all benchmarks."""
        return [
            Figure(**{name: value for name, value in one.items() if name != "met"})
            for cost in self.found.values()
            for one in cost["figures"]
        ]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        figures = [figure.as_dict() for figure in self.figures]
        left = {"waiting": self.waiting, "failed": self.failed}
        return {"machine": self.machine, "figures": figures, **left}

    def write(self, folder: Path) -> None:
        """A JSON file a benchmark, and ``README.md`` with one table of what lies there."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, cost in self.found.items():
            (folder / f"{name}.json").write_text(json.dumps(cost, indent=1) + "\n")
        (folder / "README.md").write_text(self._page())

    def _page(self) -> str:
        lines = [
            "# What this project costs\n",
            "Made by `l2-harness bench all --out FOLDER`; each benchmark's own file has all times.",
            "Smaller is better; what stands between brackets are quartiles of the rounds, or a",
            "95 % interval. CPU time of one process where a benchmark can tell it.\n",
            f"{_in_words(self.machine)}\n",
            markdown(self.figures),
            *(f"Not measured: {name}. {said}" for name, said in self.waiting.items()),
            *(f"Failed: {name}. {said}" for name, said in self.failed.items()),
        ]
        return "\n".join(lines).rstrip() + "\n"


def _in_words(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"{found['gpu'] or 'No GPU'}; {found['processor']}, {found['cores']} cores, "
        f"{found['threads'] or 'all'} thread(s), load {found['load']} at the end; "
        f"Python {found['python']}; {versions}."
    )


def run_benchmarks(names: Sequence[str], quick: bool, say: Say) -> Results:
    """Run some of :data:`BENCHMARKS`; one that fails doesn't keep the others from it."""
    results = Results(machine(), {}, {}, {})
    for name in names:
        if name == "vllm" and find_spec("vllm") is None:
            results.waiting[name] = "vLLM is not installed."
            continue
        arguments = BENCHMARKS[name][quick].split()
        say(f"l2-harness bench {' '.join(arguments)}")
        command = [*L2_HARNESS, "bench", *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        last = _last_words(done.stderr) or f"ended {done.returncode}"
        if done.returncode:
            results.failed[name] = last
            say(f"{name} failed: {last}")
        elif (found := json.loads(done.stdout))["figures"]:
            results.found[name] = found
        else:
            results.waiting[name] = last
    return results


def _last_words(said: str) -> str:
    """The last line that is more than the frame of a message."""
    lines = (line.strip("│ ") for line in reversed(said.splitlines()))
    return next((line for line in lines if any(map(str.isalnum, line))), "")
