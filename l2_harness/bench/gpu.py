"""``l2-harness bench gpu``: the decode loop and the techniques on models of real shapes."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from l2_harness.bench import workloads
from l2_harness.bench.figure import Figure
from l2_harness.bench.interventions import SLIGHT, layer_calls_again
from l2_harness.bench.rounds import Ratio, Say, alternate
from l2_harness.bench.workloads import Workload
from l2_harness.models.hf.l2hf import L2HF

SHAPES = ("qwen3-0.6b", "qwen3-4b", "qwen3-8b")
BATCHES = (1, 8, 64)
#: Tokens of prompt and response together.
CONTEXT = 2048

STOCK, OFF, TOKENS = "hf", "off", "recording all"
_ACTS = {"record": "off", "threshold_warmup": 8, **SLIGHT}
#: Way → model_args.
WAYS: dict[str, dict[str, Any]] = {
    OFF: {"record": "off"},
    TOKENS: {"record": "tokens", "layers": "all", "resume": False},
    "recursion=norm": {"recursion": "norm", **_ACTS},
    "steering=norm": {
        "steering": "norm",
        "steering_patience": 4,
        "steering_probability": 0.5,
        **_ACTS,
    },
    "suppression=peaks": {"suppression": "peaks", **_ACTS},
}


@dataclass(frozen=True)
class GpuCost:
    """What one shape took at one batch size.

    Attributes:
        settings: what was run.
        times: seconds of every round by way.
        syncs: times a forward pass that the host waited for the device, by way; none without one.
        again: layer calls beyond the plain ones, as a share of those, by way.
        equal: how many responses equal those of plain decoding, by way.
    """

    settings: dict[str, Any]
    times: dict[str, list[float]]
    syncs: dict[str, float]
    again: dict[str, float]
    equal: dict[str, int]

    @property
    def figures(self) -> list[Figure]:
        """Each way over plain decoding, that over ``hf``, and how often the host waited."""
        work = f"{self.settings['shape']}, batch {self.settings['batch_size']}"
        pairs = [(OFF, STOCK), *((way, OFF) for way in WAYS if way != OFF)]
        found = []
        for way, rival in pairs:
            ratio = Ratio.of(self.times[way], self.times[rival])
            again = self.again.get(way, 0.0)
            note = f"layer calls again {again:.1%}" if again else ""
            name = f"{way} / {rival}"
            found.append(Figure.of("gpu", name, ratio, again=again, work=work, note=note))
        for way, count in self.syncs.items():
            name = "host syncs a step"
            # a layer that is run again must know for which rows
            name += " with recursion" * way.startswith("recursion")
            found.append(Figure.of("gpu", name, count, work=f"{way}, {work}"))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self)


def measure_gpu(
    shapes: Sequence[str],
    batches: Sequence[int],
    rounds: int,
    say: Say,
    context: int = CONTEXT,
    new_tokens: int = workloads.MAX_NEW_TOKENS,
) -> Iterator[GpuCost]:
    """Time greedy responses of random models, which all end at their last token.

    Args:
        shapes: of :data:`workloads.SHAPES`.
        batches: responses side by side.
        rounds: runs of each way, after one that does not count.
        say: told what is being run.
        context: tokens of prompt and response.
        new_tokens: of them in the response.
    """
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            say(f"making a random model of shape {shape}")
            model = workloads.random_model(shape, Path(folder, "model"), ends=False)
            for batch in batches:
                prompt = context - new_tokens
                work = workloads.long_prompts(model, shape, batch, prompt, new_tokens)
                settings = {"shape": shape, "prompt_tokens": prompt, "new_tokens": new_tokens}
                yield _measure(work, rounds, Path(folder), say, settings)


def _measure(
    work: Workload, rounds: int, folder: Path, say: Say, settings: dict[str, Any]
) -> GpuCost:
    lms = _models(work, folder)
    requests = work.requests(lms[STOCK])
    responses: dict[str, list[str]] = {}

    def way(name: str) -> Callable[[], None]:
        def run() -> None:
            responses[name] = lms[name].generate_until(requests, disable_tqdm=True)
            if torch.cuda.is_available():
                torch.cuda.synchronize()

        return run

    ways = {name: way(name) for name in lms}
    times = alternate(ways, rounds, lambda text: say(f"{work.name}: {text}"))
    acting = [name for name in WAYS if name.startswith("recursion")]
    settings = {**settings, "batch_size": work.batch_size, "responses": len(requests)}
    return GpuCost(
        {**settings, "rounds": rounds, "dtype": str(lms[STOCK].model.dtype)},
        times,
        _syncs_a_pass({name: ways[name] for name in WAYS}, lms[STOCK].model),
        {name: layer_calls_again(lms[name].model, ways[name]) for name in acting},
        {
            name: sum(a == b for a, b in zip(texts, responses[OFF], strict=True))
            for name, texts in responses.items()
        },
    )


def _models(work: Workload, folder: Path) -> dict[str, HFLM]:
    """All ways share one model's weights: hooks are there only while their way runs."""
    gpu = torch.cuda.is_available()
    own = {"device": "cuda" if gpu else "cpu", "dtype": "bfloat16" if gpu else "float32"}
    stock = HFLM(str(work.model), batch_size=work.batch_size, **own)
    shared = {"pretrained": stock.model, "tokenizer": stock.tokenizer}
    lms: dict[str, HFLM] = {STOCK: stock}
    for name, args in WAYS.items():
        traces = {"trace_dir": str(folder / "traces")} if args["record"] == "tokens" else {}
        lms[name] = L2HF(**shared, **args, **traces, batch_size=work.batch_size)
    return lms


def _syncs_a_pass(ways: dict[str, Callable[[], None]], model: Any) -> dict[str, float]:
    """How often the host waits for the device in a run, over its forward passes."""
    if not torch.cuda.is_available():
        return {}
    counts = {}
    for name, run in ways.items():
        passes: list[None] = []
        handle = model.register_forward_hook(lambda *args, passes=passes: passes.append(None))
        with counted_syncs() as caught:
            run()
        handle.remove()
        counts[name] = len(caught) / len(passes)
    return counts


@contextmanager
def counted_syncs() -> Iterator[list[Any]]:
    """Every time the host waits for the device, as torch tells of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("ignore")
        warnings.filterwarnings("always", message="called a synchronizing CUDA operation")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield caught
        finally:
            torch.cuda.set_sync_debug_mode("default")
