"""What the project asks of itself: the largest value of each figure of its benchmarks."""

from __future__ import annotations

#: Benchmark → figure → the most that it may be.
GOALS: dict[str, dict[str, float]] = {
    "startup": {
        "import hook, ms": 5.0,
        "l2-harness --help, s": 0.3,
        "lm_eval with l2hf over hf, s": 1.0,
    },
    "decode greedy": {
        "recording all / hf": 0.55,
        "recording all / off": 1.02,
        "recording all / bare forward passes": 1.10,
        "recording all / continuous batching": 1.0,
    },
    "decode samples": {
        "recording all / hf": 0.22,
        "recording all / off": 1.02,
        "recording all / bare forward passes": 1.10,
        "recording all / continuous batching": 1.0,
    },
    "interventions": {
        "thresholds alone": 1.02,
        "steering=norm": 1.05,
        "suppression=peaks": 1.05,
        "suppression=random": 1.05,
        "suppression=shuffled": 1.05,
    },
    "vllm": {
        "record late layers": 1.02,
        "record all layers": 1.05,
        "steering=norm": 1.05,
        "suppression=peaks": 1.05,
    },
    "gpu": {
        "recording all / off": 1.02,
        "steering=norm / off": 1.05,
        "suppression=peaks / off": 1.05,
        "host syncs a step": 1.0,
    },
    "commands": {"select, s": 2.0, "analyze, s": 5.0, "report, s": 2.0},
    "selection": {"in all, s": 60.0, "peak, GiB": 4.0},
    "analyze": {"in all, s": 60.0, "peak, GiB": 4.0},
    "statistics": {"kinds that miss .93 coverage or .06 type I": 0.0},
    "growth": {
        # a tenth for what is measured of small sizes
        "exponent of time": 1.1,
        "exponent of time, attention in it": 2.0,
        "exponent of memory": 1.1,
        "recorder, MB": 500.0,
    },
}
#: Time over plain decoding that recursion may take: for each share of layer calls made again, and
#: beside that, where it isn't nothing.
RECURSION_A_CALL = 1.15
RECURSION_BESIDE = {"vllm": 0.05}


def goal(benchmark: str, name: str, again: float = 0.0) -> float | None:
    """The goal of a figure; None where it is only reported.

    Args:
        benchmark: its name.
        name: the figure's; of a technique that runs layers again the goal is made of ``again``.
        again: layer calls beyond the plain ones, as a share of those.
    """
    if name.startswith("recursion="):
        return 1 + RECURSION_BESIDE.get(benchmark, 0.0) + RECURSION_A_CALL * again
    return GOALS.get(benchmark, {}).get(name)
