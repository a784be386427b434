"""``l2-harness bench selection``: what it costs to score recorded samples and choose among them.

The samples are made up and written as trace files first; what is measured runs in a process of
its own, which reads them back. Comparing answers, which may need computer algebra, is timed apart.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.bench.child import apart
from l2_harness.bench.figure import Figure
from l2_harness.bench.made_up_traces import (
    RUN_ID,
    TASK,
    made_up_response,
    write_made_up,
)


@dataclass(frozen=True)
class SelectionWork:
    """How many made-up samples there are, and of what size."""

    questions: int = 10_000
    samples: int = 16
    rows: int = 300
    layers: int = 8


@dataclass(frozen=True)
class SelectionCost:
    """What it took.

    Attributes:
        work: what was read and scored.
        seconds: by step; ``comparing answers`` is not part of the total.
        peak_bytes: the resident set of the process at its largest, libraries included.
        file_bytes: of the trace files.
        selectors: how many chose.
    """

    work: SelectionWork
    seconds: dict[str, float]
    peak_bytes: int
    file_bytes: int
    selectors: int

    @property
    def total(self) -> float:
        """Seconds of all steps but the comparison of answers."""
        return sum(s for name, s in self.seconds.items() if name != "comparing answers")

    @property
    def figures(self) -> list[Figure]:
        """The time of all steps, and the peak."""
        work = self.work
        note = (
            f"{work.questions} questions × {work.samples} samples × {work.rows} rows × "
            f"{work.layers} layers, {self.file_bytes / 1e9:.2f} GB, {self.selectors} selectors"
        )
        return [
            Figure.of("selection", "in all, s", self.total, note=note),
            Figure.of("selection", "peak, GiB", self.peak_bytes / 2**30),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "total": self.total}


def measure_selection(work: SelectionWork, say: Callable[[str], object]) -> SelectionCost:
    """Write the samples into a temporary folder, and measure in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"writing {work.questions * work.samples} made-up responses")
        size = write_made_up(Path(folder), work.questions, work.samples, partial(_sample, work))
        say("reading, scoring and choosing")
        seconds, peak, selectors = apart(score_and_choose, folder)
    return SelectionCost(work, seconds, peak, size, selectors)


def _sample(work: SelectionWork, question: int, sample: int, rng: np.random.Generator) -> Any:
    """A response whose answer agrees with another's now and then."""
    answer = rf"\frac{{{question + rng.integers(4)}}}{{7}}"
    return made_up_response(
        *(question, sample, rng),
        tokens=np.arange(work.rows),
        layers=work.layers,
        truncated=0.1,
        prompt_tokens=1,
        answer=answer,
    )


def score_and_choose(folder: str) -> tuple[dict[str, float], int, int]:
    """Seconds by step, the process's peak memory in bytes, and how many selectors chose."""
    from l2_harness.analysis.norms.responses import read_groups
    from l2_harness.analysis.selectors.recorded_scores import score_groups
    from l2_harness.selection.votes import answer_labels

    seconds: dict[str, float] = {}
    start = time.perf_counter()
    traces = read_groups(Path(folder), RUN_ID, TASK)
    seconds["reading keys"] = time.perf_counter() - start
    start = time.perf_counter()
    scores = score_groups(traces, Path(folder), window=128)
    seconds["reading rows and scoring"] = time.perf_counter() - start
    start = time.perf_counter()
    answers = traces["answer"].tolist()
    groups = [g.tolist() for g in traces.groupby("group", sort=False).indices.values()]
    labels = np.stack([answer_labels([answers[i] for i in group]) for group in groups])
    seconds["comparing answers"] = time.perf_counter() - start
    start = time.perf_counter()
    truncated = (traces["finish_reason"] == "length").to_numpy()
    selectors = _choose_all(scores, groups, truncated, labels)
    seconds["choosing, all selectors"] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return seconds, peak, selectors


def _choose_all(
    scores: list[dict[str, float]],
    groups: list[list[int]],
    truncated: np.ndarray,
    labels: np.ndarray,
) -> int:
    from l2_harness.config.selectors import SELECTORS, needs_states
    from l2_harness.selection.choice import Candidates, choose

    grid = {name: np.array([[scores[i][name] for i in g] for g in groups]) for name in scores[0]}
    candidates = Candidates(grid, truncated[np.array(groups)], labels)
    draws = np.random.default_rng(0).random(len(groups))
    chosen = [
        choose(selector, candidates, draws)
        for selector in SELECTORS.values()
        if not needs_states(selector.score)
    ]
    return len(chosen)
