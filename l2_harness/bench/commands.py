"""``l2-harness bench commands``: what it takes to read a small run with the commands."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from l2_harness.bench.child import L2_HARNESS, LM_EVAL, Child, apart, run_child
from l2_harness.bench.figure import Figure
from l2_harness.bench.rounds import Say
from l2_harness.paths import tasks_dir

_SAMPLES = 8


@dataclass(frozen=True)
class CommandsCost:
    """What each command took in every round."""

    settings: Mapping[str, int]
    rounds: Mapping[str, list[Child]]

    @property
    def figures(self) -> list[Figure]:
        """CPU time, which is the wall time on a machine with no other work."""
        found = []
        for name, children in self.rounds.items():
            times = sorted(child.cpu_seconds for child in children)
            peak = max(child.peak_bytes for child in children) / 2**20
            note = f"CPU time; {peak:.0f} MiB at the peak"
            value = statistics.median(times)
            found.append(Figure.of("commands", f"{name}, s", value, note=note))
        return found

    def as_dict(self) -> dict[str, object]:
        """Everything, ready for JSON."""
        return asdict(self)


def measure_commands(rounds: int, questions: int, layers: int, say: Say) -> CommandsCost:
    """Time ``analyze``, ``select`` and ``report`` on 8 samples of some problems of the demo task.

    The samples are the embedded model's, with layers added that change nothing.

    Args:
        rounds: runs of each command.
        questions: how many.
        layers: of the model, all of them monitored.
        say: told what is being run.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"sampling {questions * _SAMPLES} responses")
        # elsewhere: a child's peak is at least what its parent holds as it starts
        model = apart(_model, layers, folder / "model")
        run_child(_sampling(folder, model, questions))
        found: dict[str, list[Child]] = {}
        for _ in range(rounds):
            for command, arguments in _commands(folder).items():
                say(command)
                found.setdefault(command, []).append(run_child(arguments))
    settings = {"rounds": rounds, "responses": questions * _SAMPLES, "layers": layers}
    return CommandsCost(settings, found)


def _model(layers: int, folder: Path) -> Path:
    from l2_harness.bench.workloads import deep_demo_model

    return deep_demo_model(layers, folder)


def _sampling(folder: Path, model: Path, questions: int) -> list[str]:
    args = {
        "pretrained": model,
        **{"dtype": "float32", "num_samples": _SAMPLES, "layers": "all", "record": "tokens"},
        "trace_dir": folder / "traces",
    }
    return [
        *(*LM_EVAL, "--model", "l2hf", "--device", "cpu", "--batch_size", "64"),
        *("--model_args", ",".join(f"{name}={value}" for name, value in args.items())),
        *("--tasks", "l2_demo", "--limit", str(questions), "--apply_chat_template"),
        *("--include_path", str(tasks_dir())),
        *("--gen_kwargs", "do_sample=true,temperature=0.8"),
        *("--log_samples", "--output_path", str(folder / "out")),
    ]


def _commands(folder: Path) -> dict[str, list[str]]:
    traces, out = str(folder / "traces"), str(folder / "out")
    # they go where they were: report then shows what analyze and select wrote
    return {
        name: [*L2_HARNESS, name, *arguments]
        for name, arguments in {
            "select": [traces, "--samples", out, "--out", str(folder / "page" / "selection")],
            "analyze": [traces, "--samples", out, "--out", str(folder / "page" / "analysis")],
            "report": [str(folder / "page"), "--traces", traces, "--samples", out],
        }.items()
    }
