"""``l2-harness bench vllm``: what it costs to watch vLLM, against vLLM left alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from l2_harness.bench import workloads
from l2_harness.bench.figure import Figure
from l2_harness.bench.interventions import SLIGHT
from l2_harness.bench.rounds import Ratio, Say, Way, alternate
from l2_harness.bench.workloads import Workload
from l2_harness.config.interventions import read_interventions

STOCK = "vllm"
LATE = "record late layers"
ALL = "record all layers"
RECURSION = "recursion=norm"
STEERING = "steering=norm"
SUPPRESSION = "suppression=peaks"
HF = "l2hf, record late layers"

_RECORDS = {"record": "tokens", "resume": False}
_ACTS = {"threshold_warmup": 8, **SLIGHT}
#: model_args of each way beyond those of the engine. Techniques record what they do by default.
_ARGS: dict[str, dict[str, Any]] = {
    STOCK: {},
    LATE: _RECORDS,
    ALL: {**_RECORDS, "layers": "all"},
    RECURSION: {"recursion": "norm", **_ACTS},
    STEERING: {
        "steering": "norm",
        "steering_patience": 4,
        "steering_probability": 0.5,
        **_ACTS,
    },
    SUPPRESSION: {"suppression": "peaks", **_ACTS},
    HF: _RECORDS,
}
#: What is measured together: two engines at a time fit a device, so each arm meets the stock
#: engine in turn; ``l2hf`` does the work of the first.
ARMS: dict[str, tuple[str, ...]] = {
    "record": (LATE, HF),
    "record-all": (ALL,),
    "recursion": (RECURSION,),
    "steering": (STEERING,),
    "suppression": (SUPPRESSION,),
}
BATCHES = (1, 64, 256)
SHAPES = ("qwen3-0.6b", "qwen3-4b", "qwen3-8b")
#: A GPU's memory for each of two engines.
_SHARE = 0.4


@dataclass(frozen=True)
class VllmCost:
    """What one workload took in one arm.

    Attributes:
        arm: one of :data:`ARMS`.
        settings: what was run, and on what.
        wall, cpu: seconds of every round by way.
        tokens: how many were generated, by way.
        figures: time a token over the stock engine's, and over ``l2hf``'s.
    """

    arm: str
    settings: dict[str, Any]
    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]
    tokens: dict[str, int]
    figures: list[Figure]

    def as_dict(self) -> dict[str, Any]:
        """What was run and how long it took, ready for JSON."""
        return {name: getattr(self, name) for name in ("arm", "settings", "wall", "cpu", "tokens")}


def measure_vllm(
    work: Workload, arms: Sequence[str], rounds: int, eager: bool, say: Say
) -> Iterator[VllmCost]:
    """Time greedy responses of engines in this process, an arm after the other.

    Args:
        work: of as many responses side by side as its batch size says.
        arms: of :data:`ARMS`.
        rounds: runs of each way, after one that does not count.
        eager: whether nothing is compiled.
        say: told what is being run.
    """
    engine = _engine_args(work, eager)
    settings = {"work": work.name, "rounds": rounds, **engine}
    with tempfile.TemporaryDirectory() as folder:
        stock = _Side(STOCK, work, engine, folder)
        for arm in arms:
            say(f"{work.name}: starting {arm}")
            sides = [stock, *(_Side(way, work, engine, folder) for way in ARMS[arm])]
            yield _alternated(arm, sides, rounds, settings, say)
            for side in sides[1:]:
                side.stop()
        stock.stop()


def _alternated(
    arm: str, sides: Sequence[_Side], rounds: int, settings: Mapping[str, Any], say: Say
) -> VllmCost:
    for side in sides:
        side.cpu.clear()
    ways: dict[str, Way] = {side.name: side.run for side in sides}
    wall = alternate(ways, rounds, lambda text: say(f"{settings['work']}: {text}"))
    # the first run of each is the one that does not count
    cpu = {side.name: side.cpu[1:] for side in sides}
    return VllmCost(
        arm,
        {"responses": len(sides[0].responses), **settings},
        wall,
        cpu,
        {side.name: side.tokens for side in sides},
        [_figure(own, rival, wall, cpu, settings) for own, rival in _pairs(sides)],
    )


def measure_shapes(
    shapes: Sequence[str], arms: Sequence[str], rounds: int, say: Say
) -> Iterator[VllmCost]:
    """As :func:`measure_vllm`, of random models on a GPU, with CUDA graphs, at every batch size."""
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            say(f"making a random model of shape {shape}")
            model = workloads.random_model(shape, Path(folder, shape), ends=False)
            for batch in BATCHES:
                work = workloads.long_prompts(model, shape, batch)
                yield from measure_vllm(work, arms, rounds, eager=False, say=say)


class _Side:
    """One way: its model, and what its runs gave."""

    def __init__(self, name: str, work: Workload, engine: Mapping[str, Any], folder: str) -> None:
        self.name = name
        self.cpu: list[float] = []
        self._args = dict(_ARGS[name])
        if self._args.get("record") == "tokens":
            self._args["trace_dir"] = str(Path(folder, name.replace(" ", "_")))
        self._lm = _model(name, work, engine, self._args)
        self._requests = work.requests(self._lm)
        self.responses: list[str] = []

    def run(self) -> None:
        """Answer all requests."""
        start = time.process_time()
        self.responses = self._lm.generate_until(self._requests, disable_tqdm=True)
        self.cpu.append(time.process_time() - start)

    @property
    def tokens(self) -> int:
        """Of the responses."""
        return sum(len(self._lm.tok_encode(text)) + 1 for text in self.responses)

    def again(self) -> float:
        """Layer passes beyond the plain ones, as a share of those."""
        acting = read_interventions(self._args)
        if not acting.enabled:
            return 0.0
        info = self._lm.get_model_info()["l2"]
        layers = info["decoder_layers"]
        passes = acting.layer_passes(info["interventions"]["all_layers"], layers)
        return float(passes or 0) / (info["rows"] * layers)

    def stop(self) -> None:
        """End its engine."""
        if self.name != HF:
            from l2_harness.models.vllm.engine_pool import stop_engine

            stop_engine(self._lm.model)
        del self._lm


def _model(name: str, work: Workload, engine: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    if name == HF:
        from l2_harness.models.hf.l2hf import L2HF

        device = "cuda" if torch.cuda.is_available() else "cpu"
        args = {"dtype": engine["dtype"], "device": device, "batch_size": work.batch_size}
        return L2HF(str(work.model), **args, **own)
    if name == STOCK:
        from lm_eval.models.vllm_causallms import VLLM

        return VLLM(str(work.model), **engine)
    from l2_harness.models.vllm.l2vllm import L2VLLM

    return L2VLLM(str(work.model), **engine, **own)


def _engine_args(work: Workload, eager: bool) -> dict[str, Any]:
    args: dict[str, Any] = {"dtype": "float32", "max_num_seqs": work.batch_size}
    if torch.cuda.is_available():
        args |= {"dtype": "bfloat16", "gpu_memory_utilization": _SHARE}
    return args | ({"enforce_eager": True} if eager else {})


def _pairs(sides: Sequence[_Side]) -> Iterator[tuple[_Side, _Side]]:
    """Each of ours against the stock engine, and the first against ``l2hf``."""
    stock, first, *others = sides
    yield first, stock
    for other in others:
        yield first, other


def _figure(
    own: _Side,
    rival: _Side,
    wall: Mapping[str, list[float]],
    cpu: Mapping[str, list[float]],
    settings: Mapping[str, Any],
) -> Figure:
    scale = rival.tokens / own.tokens  # edits may make responses longer or shorter

    def ratio(times: Mapping[str, list[float]]) -> Ratio:
        return Ratio.of([seconds * scale for seconds in times[own.name]], times[rival.name])

    again, busy = own.again(), ratio(cpu)
    equal = sum(a == b for a, b in zip(own.responses, rival.responses, strict=True))
    return Figure.of(
        "vllm",
        own.name if rival.name == STOCK else f"{own.name} / {rival.name}",
        ratio(wall),
        again=again,
        work=f"{settings['work']}, batch {settings['max_num_seqs']}",
        # CPU time is moved less by other work on the machine
        note=f"CPU time {busy.median:.3f} ({busy.low:.3f} to {busy.high:.3f}), "
        f"layer passes again {again:.1%}, {equal} of {len(own.responses)} responses equal",
    )
