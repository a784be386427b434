"""What recording costs: ``l2hf`` against lm-eval's ``hf`` on the same responses, in one process.

Every round runs each of them once, in an order drawn anew, so that a machine that slows down or
speeds up meets all of them alike; a ratio is taken within its round.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from l2_harness.engines.hf.loading import resolve_pretrained
from l2_harness.models.hf import L2HF
from l2_harness.paths import tasks_dir

STOCK = "hf"


@dataclass(frozen=True)
class RecordingRow:
    """One way to run; ``seconds`` and ``ratio`` (to ``hf``, within a round) are medians."""

    model: str
    seconds: float
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True)
class RecordingCost:
    """Wall seconds of every round by way to run, and whether all responses were equal."""

    settings: dict[str, Any]
    times: dict[str, list[float]]
    responses_equal: bool
    tokens: int

    def rows(self) -> list[RecordingRow]:
        """One summary a way to run, ``hf`` first; low and high are quartiles of the ratio."""
        return [self._row(name) for name in self.times]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows()]}

    def _row(self, name: str) -> RecordingRow:
        ratios = [a / b for a, b in zip(self.times[name], self.times[STOCK], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return RecordingRow(name, statistics.median(self.times[name]), middle, low, high)


def measure_recording(
    rounds: int, batch_size: int, limit: int, pretrained: str = "demo"
) -> RecordingCost:
    """Time greedy thinking responses to the demo task's first test problems.

    Args:
        rounds: runs of each way, after one of each that does not count.
        batch_size: prompts a batch.
        limit: problems.
        pretrained: a model whose chat template takes the demo task's questions.
    """
    common = {"batch_size": batch_size, "device": _device(), "dtype": "float32"}
    with tempfile.TemporaryDirectory() as folder:
        everything = {"record": "tokens", "layers": "all", "resume": False}
        ways: dict[str, HFLM] = {
            STOCK: HFLM(resolve_pretrained(pretrained), **common),
            "l2hf record=off": L2HF(pretrained, record="off", **common),
            "l2hf record=summary": L2HF(pretrained, **common),
            "l2hf record=tokens, all layers": L2HF(
                pretrained, trace_dir=Path(folder, "traces"), **everything, **common
            ),
        }
        requests = _requests(ways[STOCK], limit)
        responses = {name: lm.generate_until(requests, True) for name, lm in ways.items()}
        times = _alternate(ways, requests, rounds)
    return RecordingCost(
        settings={"pretrained": pretrained, "rounds": rounds, "limit": limit, **common},
        times=times,
        responses_equal=all(r == responses[STOCK] for r in responses.values()),
        tokens=sum(len(ways[STOCK].tok_encode(r)) for r in responses[STOCK]),
    )


def _alternate(
    ways: dict[str, HFLM], requests: list[Instance], rounds: int
) -> dict[str, list[float]]:
    rng = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in rng.sample(list(ways), len(ways)):
            start = time.perf_counter()
            ways[name].generate_until(requests, True)
            times[name].append(time.perf_counter() - start)
    return times


def _requests(lm: HFLM, limit: int) -> list[Instance]:
    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()[:limit]
    questions = [json.loads(line)["question"] for line in lines]
    settings = {"until": [], "do_sample": False, "max_gen_toks": 320}
    return [
        Instance(
            "generate_until",
            {},
            (lm.apply_chat_template([{"role": "user", "content": question}]), settings),
            0,
            metadata=("l2_demo", doc_id, 1),
        )
        for doc_id, question in enumerate(questions)
    ]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
