"""``l2-harness bench interventions``: what the techniques add to plain decoding in our loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from unittest.mock import patch

from l2_harness.bench.rounds import Ratio, Say, Way, alternate
from l2_harness.bench.workloads import greedy_demo
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.layer_rerun import LayerCall
from l2_harness.interventions import InterventionRun
from l2_harness.models.hf.l2hf import L2HF

PLAIN = "plain"
THRESHOLDS = "thresholds alone"
#: Edits too small to change a response: what they cost is then not mixed with what they do.
SLIGHT = {"recursion_alpha": 1e-3, "steering_strength": 1e-3, "suppression_factor": 0.999}
#: Way → its model_args and its goal for time over plain's. Recursion's goal depends on
#: how often layers ran again, and is worked out from that.
WAYS: dict[str, tuple[dict[str, Any], float | None]] = {
    THRESHOLDS: ({}, 1.02),
    "recursion=norm": ({"recursion": "norm"}, None),
    "recursion=always": ({"recursion": "always"}, None),
    "recursion=random": ({"recursion": "random"}, None),
    "steering=norm": (
        {"steering": "norm", "steering_patience": 4, "steering_probability": 0.5},
        1.05,
    ),
    "suppression=peaks": ({"suppression": "peaks"}, 1.05),
    "suppression=random": ({"suppression": "random"}, 1.05),
    "suppression=shuffled": ({"suppression": "shuffled"}, 1.05),
}
_RECURSION_OVERHEAD = 1.15
_COMMON = {"threshold_warmup": 8, **SLIGHT}


@dataclass(frozen=True)
class InterventionRow:
    """One way.

    Attributes:
        way: its name.
        ratio: time a token over plain's.
        goal: for its median.
        again: layer calls beyond the plain ones, as a share of those.
        equal: how many responses equal the plain ones.
    """

    way: str
    ratio: Ratio
    goal: float
    again: float
    equal: int


@dataclass(frozen=True)
class InterventionCost:
    """Seconds of every round by way, and the rows made of them."""

    settings: dict[str, Any]
    times: dict[str, list[float]]
    rows: list[InterventionRow]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self)


def measure_interventions(
    rounds: int, limit: int | None, batch_size: int, say: Say, cpu: bool = False
) -> InterventionCost:
    """Time greedy responses to the demo task, a token: edits make responses longer or shorter.

    Args:
        rounds: runs of each way, after one that does not count.
        limit: problems; None for all.
        batch_size: responses side by side.
        say: told what is being run.
        cpu: whether the process's CPU time counts, and not wall time.
    """
    work = greedy_demo(limit, batch_size)
    args = {"batch_size": batch_size, "device": "cpu", "dtype": "float32", "record": "off"}
    lms = {PLAIN: L2HF("demo", **args)}
    for name, (own, _) in WAYS.items():
        lms[name] = L2HF("demo", **args, **_COMMON, **own)
    _only_thresholds(lms[THRESHOLDS])
    requests = work.requests(lms[PLAIN])
    responses: dict[str, list[str]] = {}

    def way(name: str) -> Way:
        def run() -> None:
            responses[name] = lms[name].generate_until(requests, disable_tqdm=True)

        return run

    clock = time.process_time if cpu else time.perf_counter
    times = alternate({name: way(name) for name in lms}, rounds, say, clock)
    lengths = {
        name: sum(len(lms[PLAIN].tok_encode(text)) + 1 for text in texts)
        for name, texts in responses.items()
    }
    a_token = {name: [t / lengths[name] for t in seconds] for name, seconds in times.items()}
    shares = {name: _share_of_calls(lms[name], way(name)) for name in WAYS}
    return InterventionCost(
        {"rounds": rounds, "responses": len(requests), "cpu_time": cpu, **args, **_COMMON},
        times,
        [_row(name, goal, a_token, shares[name], responses) for name, (_, goal) in WAYS.items()],
    )


def _row(
    name: str,
    goal: float | None,
    times: Mapping[str, list[float]],
    again: float,
    responses: Mapping[str, list[str]],
) -> InterventionRow:
    equal = sum(a == b for a, b in zip(responses[name], responses[PLAIN], strict=True))
    own_goal = 1 + _RECURSION_OVERHEAD * again if goal is None else goal
    return InterventionRow(name, Ratio.of(times[name], times[PLAIN]), own_goal, again, equal)


def _only_thresholds(lm: L2HF) -> None:
    """Every row is judged and none is edited: no argument asks for that."""
    run = InterventionRun(lm._acting, lm._recording.layers.resolve(12))
    lm._hooks = LayerHooks(run, list(find_decoder_layers(lm.model)), lm._causal_lm)


def _share_of_calls(lm: L2HF, run: Way) -> float:
    """Layer calls of second passes over those of first ones, in one run."""
    layers = find_decoder_layers(lm.model)
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
