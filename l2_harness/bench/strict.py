"""``l2-harness bench strict``: what ``compare --strict`` costs, beside the number formats alone."""

from __future__ import annotations

import time

from l2_harness.bench.figure import Figure
from l2_harness.bench.rounds import Ratio, Say, Way, alternate
from l2_harness.bench.timed_ways import TimedWays, seconds_a_token
from l2_harness.bench.workloads import greedy_demo
from l2_harness.compare.strict import DTYPE, strict_arithmetic
from l2_harness.models.hf.l2hf import L2HF

STRICT = f"{DTYPE}, strict"
#: Way → number format.
WAYS = {"bfloat16": "bfloat16", DTYPE: DTYPE, STRICT: DTYPE}


def measure_strict(rounds: int, limit: int, batch_size: int, device: str, say: Say) -> TimedWays:
    """Time greedy responses to the demo task, a token: formats make responses of other lengths.

    Args:
        rounds: runs of each way, after one that does not count.
        limit: problems.
        batch_size: responses side by side.
        device: on a GPU wall time is taken, which includes what the CPU waits for; else the
            process's CPU time.
        say: told what is being run.
    """
    args = {"batch_size": batch_size, "device": device, "record": "off"}
    lms = {dtype: L2HF("demo", dtype=dtype, **args) for dtype in dict.fromkeys(WAYS.values())}
    requests = greedy_demo(limit, batch_size).requests(lms[DTYPE])
    responses: dict[str, list[list[str]]] = {name: [] for name in WAYS}

    def way(name: str) -> Way:
        def run() -> None:
            with strict_arithmetic(name == STRICT):
                found = lms[WAYS[name]].generate_until(requests, disable_tqdm=True)
            responses[name].append(found)

        return run

    clock = time.process_time if device == "cpu" else time.perf_counter
    times = alternate({name: way(name) for name in WAYS}, rounds, say, clock)
    first = {name: runs[0] for name, runs in responses.items()}
    a_token = seconds_a_token(times, first, lms[DTYPE].tok_encode)
    pairs = [(STRICT, DTYPE), (STRICT, "bfloat16"), (DTYPE, "bfloat16")]
    figures = [
        Figure.of(
            "strict",
            f"{way} / {over}",
            Ratio.of(a_token[way], a_token[over]),
            note=f"{_share_of_same(responses[way]):.1%} of responses the same each time",
        )
        for way, over in pairs
    ]
    return TimedWays({"rounds": rounds, "responses": len(requests), **args}, times, figures)


def _share_of_same(runs: list[list[str]]) -> float:
    same = [len(set(texts)) == 1 for texts in zip(*runs, strict=True)]
    return sum(same) / len(same)
