"""``l2-harness bench interventions``: what the techniques add to plain decoding in our loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from l2_harness.bench.figure import Figure
from l2_harness.bench.parts import PartTimes, Place
from l2_harness.bench.rounds import Ratio, Say, Way, alternate
from l2_harness.bench.timed_ways import TimedWays, seconds_a_token
from l2_harness.bench.workloads import greedy_demo
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.layer_rerun import LayerCall
from l2_harness.engines.hf.loading import resolve_pretrained
from l2_harness.interventions import InterventionRun, Pipeline
from l2_harness.interventions import layer as layer_module
from l2_harness.interventions.recursion import LayerRecursion
from l2_harness.interventions.steering import LayerSteering
from l2_harness.interventions.suppression import LayerSuppression
from l2_harness.interventions.thresholds import LayerThreshold
from l2_harness.models.hf.l2hf import L2HF

PLAIN = "plain"
THRESHOLDS = "thresholds alone"
#: Edits too small to change a response: what they cost is then not mixed with what they do.
SLIGHT = {"recursion_alpha": 1e-3, "steering_strength": 1e-3, "suppression_factor": 0.999}
#: Way → its model_args.
WAYS: dict[str, dict[str, Any]] = {
    THRESHOLDS: {},
    "recursion=norm": {"recursion": "norm"},
    "recursion=always": {"recursion": "always"},
    "recursion=random": {"recursion": "random"},
    "steering=norm": {
        "steering": "norm",
        "steering_patience": 4,
        "steering_probability": 0.5,
    },
    "suppression=peaks": {"suppression": "peaks"},
    "suppression=random": {"suppression": "random"},
    "suppression=shuffled": {"suppression": "shuffled"},
}
_COMMON = {"threshold_warmup": 8, **SLIGHT}
#: What an intervention takes, by the functions that do it.
PARTS: dict[str, list[Place]] = {
    "second passes": [(LayerCall, "again")],
    "which rows a pass has": [(Pipeline, "begin_pass")],
    "norms": [(layer_module, "finite_row_norms")],
    "thresholds": [(LayerThreshold, "begin"), (LayerThreshold, "judge")],
    "the technique": [(own, "edit") for own in (LayerRecursion, LayerSteering, LayerSuppression)],
    "the rest of a layer": [(Pipeline, "layer")],
    "starts and reports": [
        *((Pipeline, name) for name in ("start", "finish", "_late_report")),
        *((LayerHooks, name) for name in ("begin", "step")),
    ],
}


def measure_interventions(
    rounds: int,
    limit: int | None,
    batch_size: int,
    say: Say,
    cpu: bool = False,
    model: str = "demo",
    max_new_tokens: int = 320,
) -> TimedWays:
    """Time greedy responses to the demo task, a token: edits make responses longer or shorter.

    Args:
        rounds: runs of each way, after one that does not count.
        limit: problems; None for all.
        batch_size: responses side by side.
        say: told what is being run.
        cpu: whether the process's CPU time counts, and not wall time.
        model: ``demo``, or a model's folder.
        max_new_tokens: of a response.
    """
    work = greedy_demo(limit, batch_size, Path(resolve_pretrained(model)), max_new_tokens)
    args = {"batch_size": batch_size, "device": "cpu", "dtype": "float32", "record": "off"}
    loaded = L2HF(str(work.model), **args)
    weights = {"pretrained": loaded.model, "tokenizer": loaded.tokenizer, "batch_size": batch_size}
    lms = {PLAIN: loaded}
    for name, own in WAYS.items():
        lms[name] = L2HF(**weights, record="off", **_COMMON, **own)
    _only_thresholds(lms[THRESHOLDS])
    requests = work.requests(lms[PLAIN])
    responses: dict[str, list[str]] = {}

    def way(name: str) -> Way:
        def run() -> None:
            responses[name] = lms[name].generate_until(requests, disable_tqdm=True)

        return run

    clock = time.process_time if cpu else time.perf_counter
    times = alternate({name: way(name) for name in lms}, rounds, say, clock)
    a_token = seconds_a_token(times, responses, lms[PLAIN].tok_encode)
    figures, parts = [], {}
    for name in WAYS:
        parts[name] = _parts(way(name))
        again = layer_calls_again(loaded.model, way(name))
        equal = sum(a == b for a, b in zip(responses[name], responses[PLAIN], strict=True))
        note = f"layer calls again {again:.1%}, {equal} of {len(requests)} responses equal"
        ratio = Ratio.of(a_token[name], a_token[PLAIN])
        figures.append(Figure.of("interventions", name, ratio, again=again, note=note))
    settings = {"model": model, "rounds": rounds, "responses": len(requests), "cpu_time": cpu}
    return TimedWays({**settings, **args, **_COMMON}, times, figures, parts)


def _parts(run: Way) -> dict[str, float]:
    """Share of the decoding without the interventions that each part of them takes, in one run."""
    spent = PartTimes()
    with spent.watching(PARTS):
        run()
    decoding = spent.seconds.pop("everything else")
    return {name: seconds / decoding for name, seconds in spent.seconds.items()}


def _only_thresholds(lm: L2HF) -> None:
    """Every row is judged and none is edited: no argument asks for that."""
    layers = list(find_decoder_layers(lm.model))
    run = InterventionRun(lm._acting, lm._recording.layers.resolve(len(layers)))
    lm._hooks = LayerHooks(run, layers, lm._causal_lm)


def layer_calls_again(model: Any, run: Way) -> float:
    """Layer calls of second passes over those of first ones, in one run."""
    layers = find_decoder_layers(model)
    first, again = [0], [0]

    def count(*args: Any) -> None:
        first[0] += 1

    handles = [layer.register_forward_hook(count) for layer in layers]
    with _counting(again):
        run()
    for handle in handles:
        handle.remove()
    return again[0] / first[0]


@contextmanager
def _counting(calls: list[int]) -> Iterator[None]:
    real = LayerCall.again

    def counted(self: LayerCall, *args: Any) -> Any:
        calls[0] += 1
        return real(self, *args)

    with patch.object(LayerCall, "again", counted):
        yield
