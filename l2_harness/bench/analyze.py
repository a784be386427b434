"""``l2-harness bench analyze``: what it costs to analyse recorded norms.

The responses are made up and written as trace files first; what is measured runs in a process of
its own, which reads them back: reading, statistics, associations with their intervals, the choice
on held-out questions, and the sections with their figures. Verdicts are made up as well; judging
by a task is not part of it.
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
from l2_harness.bench.made_up_traces import TASK, made_up_response, write_made_up

#: Ids of the embedded model's tokenizer, whose tokens the responses are made of.
_TOKENS = 170


@dataclass(frozen=True)
class AnalysisWork:
    """How many made-up responses there are, and of what size."""

    questions: int = 1000
    samples: int = 8
    rows: int = 104
    layers: int = 12
    resamples: int = 2000


@dataclass(frozen=True)
class AnalysisCost:
    """What it took.

    Attributes:
        work: what was analysed.
        points: norms that were read, rows × layers.
        seconds: by step; ``importing libraries`` among them.
        cpu_seconds: of the process in all, which other work on the machine leaves as it is.
        peak_bytes: the resident set of the process at its largest, libraries included.
        file_bytes: of the trace files.
        associations: how many were estimated.
    """

    work: AnalysisWork
    points: int
    seconds: dict[str, float]
    cpu_seconds: float
    peak_bytes: int
    file_bytes: int
    associations: int

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.seconds.values())

    @property
    def figures(self) -> list[Figure]:
        """The time of all steps, and the peak."""
        note = (
            f"{self.points / 1e6:.1f} M norms, {self.associations} associations with "
            f"{self.work.resamples} resamples, {self.cpu_seconds:.1f} s of CPU time"
        )
        return [
            Figure.of("analyze", "in all, s", self.total, note=note),
            Figure.of("analyze", "peak, GiB", self.peak_bytes / 2**30),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "total": self.total}


def measure_analysis(work: AnalysisWork, say: Callable[[str], object]) -> AnalysisCost:
    """Write the responses into a temporary folder, and measure in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"writing {work.questions * work.samples} made-up responses")
        traces = Path(folder, "traces")
        size = write_made_up(traces, work.questions, work.samples, partial(_response, work))
        say("analysing")
        seconds, cpu, peak, points, figures = apart(analyse, folder, work)
    return AnalysisCost(work, points, seconds, cpu, peak, size, figures)


def _response(work: AnalysisWork, question: int, sample: int, rng: np.random.Generator) -> Any:
    """A response of random length, up to nearly twice the mean."""
    rows = int(rng.integers(max(work.rows // 4, 1), work.rows * 7 // 4 + 1))
    tokens = rng.integers(0, _TOKENS, rows)
    return made_up_response(
        *(question, sample, rng),
        tokens=tokens,
        layers=work.layers,
        truncated=0.05,
        prompt_tokens=20 + question % 60,
    )


def analyse(folder: str, work: AnalysisWork) -> tuple[dict[str, float], float, int, int, int]:
    """Seconds by step and of CPU, peak memory in bytes, norms read, and figures estimated."""
    start = time.perf_counter()
    from l2_harness.analysis.norms.study import StudyOptions, study
    from l2_harness.analysis.norms.write import write_study

    seconds = {"importing libraries": time.perf_counter() - start}
    options = StudyOptions(Path(folder, "traces"), TASK, resamples=work.resamples)
    found = study(options, judge=_verdicts)
    seconds |= found.seconds
    start = time.perf_counter()
    write_study(found, Path(folder, "out"), "l2-harness bench analyze")
    seconds["writing sections and tables"] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    points = found.measured.rows * len(found.measured.layers)
    return seconds, time.process_time(), peak, points, len(found.table)


def _verdicts(traces: Any) -> Any:
    """Right or wrong by chance, questions of unequal difficulty."""
    from l2_harness.lm_eval_files.verdicts import Verdicts

    rng = np.random.default_rng(0)
    difficulty = rng.random(int(traces["doc_id"].max()) + 1)
    right = rng.random(len(traces)) < difficulty[traces["doc_id"].to_numpy()]
    return Verdicts(right.astype(np.float64), "exact_match", "made up")
