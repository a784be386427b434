"""``l2-harness bench decode``: the decode loop beside lm-eval's ``hf``, and beside itself."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from l2_harness.bench import workloads
from l2_harness.bench.bare_loop import recorded_passes, replay
from l2_harness.bench.parts import PartTimes, Place
from l2_harness.bench.peak_memory import MakeWorkload, peak_memory
from l2_harness.bench.rounds import Ratio, Say, Way, alternate
from l2_harness.bench.workloads import Workload
from l2_harness.engines.hf.batch_state import BatchState, PassInputs
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.response_end import EndRule
from l2_harness.engines.response_log import ResponseLog
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.recorder import RunRecorder
from l2_harness.models.response_text import ResponseTexts

STOCK = "hf"
TOKENS = "l2hf record=tokens, all layers"
OFF = "l2hf record=off"
BARE = "bare forward passes over the same rows"

#: Wall time over the rival's, by work: what this project has set itself.
GOALS = {
    ("greedy", TOKENS, STOCK): 0.85,
    ("samples", TOKENS, STOCK): 0.40,
    ("greedy", TOKENS, OFF): 1.03,
    ("samples", TOKENS, OFF): 1.03,
    ("greedy", TOKENS, BARE): 1.10,
    ("samples", TOKENS, BARE): 1.10,
}


@dataclass(frozen=True)
class Compared:
    """One way against a rival."""

    way: str
    rival: str
    ratio: Ratio
    goal: float | None


@dataclass(frozen=True)
class DecodeCost:
    """What one workload took.

    Attributes:
        work: its name.
        settings: what was run, and on what.
        times: wall seconds of every round by way.
        tokens: how many were generated, by way.
        equal: how many responses equal ``hf``'s, and of how many; None where they are drawn.
        parts: seconds by part of one run of the loop that records everything.
        peak_bytes: memory that a run adds to a loaded model, by way.
    """

    work: str
    settings: dict[str, Any]
    times: dict[str, list[float]]
    tokens: dict[str, int]
    equal: tuple[int, int] | None
    parts: dict[str, float]
    peak_bytes: dict[str, int]

    def compared(self) -> list[Compared]:
        """The ratios that there are goals for."""
        return [
            Compared(way, rival, Ratio.of(self.times[way], self.times[rival]), goal)
            for (work, way, rival), goal in GOALS.items()
            if work == self.work
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "compared": [asdict(row) for row in self.compared()]}


def measure_decoding(
    works: Sequence[str], rounds: int, limit: int | None, batch_size: int, shape: str, say: Say
) -> Iterator[DecodeCost]:
    """Measure some of the works ``greedy`` and ``samples``.

    Args:
        works: which.
        rounds: runs of each way, after one that does not count.
        limit: the demo problems of ``greedy``; None for all.
        batch_size: responses side by side, on both sides.
        shape: of the random model of ``samples``, one of :data:`workloads.SHAPES`.
        say: told what is being run.
    """
    with tempfile.TemporaryDirectory() as folder:
        for work in works:
            if work == "greedy":
                make: MakeWorkload = (workloads.greedy_demo, (limit, batch_size))
                more: dict[str, Any] = {"model": "demo"}
            else:
                say(f"making a random model of shape {shape}")
                model = workloads.random_model(shape, Path(folder, shape))
                make = (workloads.samples, (model, max(1, batch_size // 4), batch_size))
                more = {"model": shape, "prompt_tokens": workloads.PROMPT_TOKENS}
            yield _measure(make, rounds, Path(folder), say, more)


def _measure(
    make: MakeWorkload, rounds: int, folder: Path, say: Say, more: dict[str, Any]
) -> DecodeCost:
    function, arguments = make
    work = function(*arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    args = {"batch_size": work.batch_size, "device": device, "dtype": _dtype(device)}
    lms: dict[str, HFLM] = {
        STOCK: HFLM(str(work.model), **args),
        OFF: L2HF(str(work.model), record="off", **args),
        TOKENS: L2HF(str(work.model), **_record_all(folder, work.name), **args),
    }
    responses: dict[str, list[str]] = {}
    ways = {name: _way(lm, work, name, responses) for name, lm in lms.items()}
    with recorded_passes(lms[OFF].model) as passes:
        ways[OFF]()
    ways[BARE] = _synchronised(lambda: replay(lms[OFF].model, passes))
    times = alternate(ways, rounds, lambda text: say(f"{work.name}: {text}"))
    greedy = work.name == "greedy"
    return DecodeCost(
        work=work.name,
        settings={**more, "rounds": rounds, "responses": len(responses[STOCK]), **args, **_where()},
        times=times,
        tokens=_token_counts(lms[STOCK], responses),
        equal=_equal(responses[STOCK], responses[TOKENS]) if greedy else None,
        parts=_parts(lms[TOKENS], work),
        peak_bytes={name: peak_memory(make, name == TOKENS, args) for name in (STOCK, TOKENS)},
    )


def _dtype(device: str) -> str:
    return "bfloat16" if device == "cuda" else "float32"


def _record_all(folder: Path, name: str) -> dict[str, Any]:
    return {
        "record": "tokens",
        "layers": "all",
        "trace_dir": str(folder / f"traces-{name}"),
        "resume": False,
    }


def _way(lm: HFLM, work: Workload, name: str, responses: dict[str, list[str]]) -> Way:
    requests = work.requests(lm)

    def run() -> None:
        responses[name] = lm.generate_until(requests, disable_tqdm=True)

    return _synchronised(run)


def _synchronised(run: Way) -> Way:
    """A run is over when the device has done its work."""

    def whole() -> None:
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return whole


def _token_counts(lm: HFLM, responses: dict[str, list[str]]) -> dict[str, int]:
    return {
        name: sum(len(lm.tok_encode(text)) + 1 for text in texts)
        for name, texts in responses.items()
    }


def _equal(first: list[str], second: list[str]) -> tuple[int, int]:
    return sum(a == b for a, b in zip(first, second, strict=True)), len(first)


def _parts(lm: Any, work: Workload) -> dict[str, float]:
    requests = work.requests(lm)
    times = PartTimes()
    with times.watching(_places(lm)):
        lm.generate_until(requests, disable_tqdm=True)
    return times.seconds


def _places(lm: Any) -> dict[str, list[Place]]:
    model = lm.model
    return {
        "forward passes, with the hooks": [(model, "forward")],
        "inputs of the passes": [
            (model, "prepare_inputs_for_generation"),
            (model, "_update_model_kwargs_for_generation"),
        ],
        "choosing tokens": [(BatchState, "choose")],
        "norms and statistics": [(ResidualNorms, "take"), (ResponseLog, "add")],
        "rows to the host": [(ResponseLog, "take")],
        "ends of responses": [(EndRule, "reason")],
        "rows that leave and join": [
            *((BatchState, name) for name in ("keep", "join", "drop_left")),
            *((PassInputs, name) for name in ("keep", "join", "drop_left", "select")),
        ],
        "tokenising": [(lm, "tok_encode"), (lm, "tok_batch_encode")],
        "texts": [(ResponseTexts, "answer"), (ResponseTexts, "thinking_end")],
        "trace files": [(RunRecorder, "add"), (RunRecorder, "flush")],
    }


def _where() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "hardware": device,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
