"""``l2-harness bench decode``: the decode loop beside lm-eval's ``hf``, and beside itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from l2_harness.bench import workloads
from l2_harness.bench.bare_loop import recorded_passes, replay
from l2_harness.bench.continuous import continuous_batching
from l2_harness.bench.figure import Figure
from l2_harness.bench.parts import PartTimes, Place
from l2_harness.bench.peak_memory import MakeWorkload, peak_memory
from l2_harness.bench.rounds import Ratio, Say, Way, alternate
from l2_harness.bench.workloads import Workload
from l2_harness.engines.hf.batch_state import BatchState, PassInputs
from l2_harness.engines.hf.loading import resolve_pretrained
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.response_end import EndRule
from l2_harness.engines.response_log import ResponseLog
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.recorder import RunRecorder
from l2_harness.models.response_text import ResponseTexts

STOCK = "hf"
TOKENS = "recording all"
OFF = "off"
BARE = "bare forward passes"
CONTINUOUS = "continuous batching"


@dataclass(frozen=True)
class DecodeCost:
    """What one workload took.

    Attributes:
        work: its name.
        settings: what was run, and on what.
        times: seconds of every round by way.
        rows: that went through the model, prompts and padding included, by way.
        tokens: how many were generated, by way.
        equal: how many responses equal ``hf``'s, and of how many; None where they are drawn.
        parts: seconds by part of one run of the loop that records everything.
        peak_bytes: memory that a run adds to a loaded model, by way.
    """

    work: str
    settings: dict[str, Any]
    times: dict[str, list[float]]
    rows: dict[str, int]
    tokens: dict[str, int]
    equal: tuple[int, int] | None
    parts: dict[str, float]
    peak_bytes: dict[str, int]

    @property
    def figures(self) -> list[Figure]:
        """What recording everything takes over each rival."""
        benchmark, own = f"decode {self.work}", self.times[TOKENS]
        return [
            Figure.of(
                *(benchmark, f"{TOKENS} / {rival}", Ratio.of(own, times)), note=self._note(rival)
            )
            for rival, times in self.times.items()
            if rival != TOKENS
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self)

    def _note(self, rival: str) -> str:
        if rival != STOCK:
            return ""
        share = self.rows[OFF] / self.rows[STOCK]
        equal = (
            "" if self.equal is None else f"{self.equal[0]} of {self.equal[1]} responses equal, "
        )
        return f"{equal}{share:.2f} of its rows go through the model"


@dataclass(frozen=True)
class DecodeWork:
    """What is decoded.

    Attributes:
        works: ``greedy``, ``samples`` or both.
        limit: the demo problems of ``greedy``; None for all.
        batch_size: responses side by side, on all sides.
        shape: of the random model of ``samples``, one of :data:`workloads.SHAPES`.
        pretrained, max_new_tokens: the model of ``greedy``, and the most tokens of a response.
    """

    works: Sequence[str] = ("greedy", "samples")
    limit: int | None = None
    batch_size: int = 32
    shape: str = "qwen3-30m"
    pretrained: str = "demo"
    max_new_tokens: int = 320

    def make(self, work: str, folder: Path) -> MakeWorkload:
        """How one of the works is made; a random model is written below ``folder``."""
        if work == "greedy":
            model = Path(resolve_pretrained(self.pretrained))
            return workloads.greedy_demo, (self.limit, self.batch_size, model, self.max_new_tokens)
        model = workloads.random_model(self.shape, folder / self.shape)
        return workloads.samples, (model, max(1, self.batch_size // 4), self.batch_size)


def measure_decoding(
    works: DecodeWork, rounds: int, say: Say, cpu: bool = False
) -> Iterator[DecodeCost]:
    """Measure one work after the other.

    Args:
        works: which.
        rounds: runs of each way, after one that does not count.
        say: told what is being run.
        cpu: whether the process's CPU time counts, and not wall time.
    """
    with tempfile.TemporaryDirectory() as folder:
        for work in works.works:
            model = works.pretrained if work == "greedy" else works.shape
            settings = {"model": model, "cpu_time": cpu, "rounds": rounds}
            yield _measure(works.make(work, Path(folder)), Path(folder), say, settings)


def _measure(make: MakeWorkload, folder: Path, say: Say, settings: dict[str, Any]) -> DecodeCost:
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
    rows = {}
    for name in (STOCK, OFF):
        with recorded_passes(lms[name].model) as passes:
            ways[name]()
        rows[name] = sum(one.ids.numel() for one in passes)
    ways[BARE] = _synchronised(lambda: replay(lms[OFF].model, passes))
    ways[CONTINUOUS] = _synchronised(continuous_batching(lms[STOCK], work))
    clock = time.process_time if settings["cpu_time"] else time.perf_counter
    times = alternate(ways, settings["rounds"], lambda text: say(f"{work.name}: {text}"), clock)
    greedy = work.name == "greedy"
    return DecodeCost(
        work=work.name,
        settings={**settings, "responses": len(responses[STOCK]), **args},
        times=times,
        rows=rows,
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
