"""lm-eval, run in this process on the demo tasks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2_harness.lm_eval_files.quiet import quiet as quiet

ARMS = {"l2_demo": "thinking", "l2_demo_direct": "direct"}
"""Task → what its responses are called."""

METRIC = "exact_match"
BATCH_SIZE = 32


@dataclass(frozen=True)
class Evaluation:
    """One model class's run over both tasks.

    Attributes:
        model_class: lm-eval's name of it.
        seconds: wall time of the run, loading the model included.
        config: what lm-eval says about the run; ``l2`` in it is what l2hf recorded.
        samples: task → a dict a document, as lm-eval logs them.
        sample_files: task → where lm-eval wrote them.
    """

    model_class: str
    seconds: float
    config: Mapping[str, Any]
    samples: Mapping[str, Sequence[Mapping[str, Any]]]
    sample_files: Mapping[str, Path]

    def correct(self, task: str) -> list[float]:
        """1 or 0 for each document of a task."""
        return [float(sample[METRIC]) for sample in self.samples[task]]

    def accuracy(self, task: str) -> tuple[float, float, float]:
        """Share of right answers with its 95 % Wilson interval."""
        from scipy.stats import binomtest

        correct = self.correct(task)
        result = binomtest(int(sum(correct)), len(correct))
        low, high = result.proportion_ci(confidence_level=0.95, method="wilson")
        return float(result.statistic), float(low), float(high)

    def responses(self, task: str) -> dict[int, str]:
        """doc_id → raw response."""
        return {int(sample["doc_id"]): sample["resps"][0][0] for sample in self.samples[task]}

    def documents(self, task: str) -> dict[int, Mapping[str, Any]]:
        """doc_id → document."""
        return {int(sample["doc_id"]): sample["doc"] for sample in self.samples[task]}


def evaluate(
    model_class: str, model_args: Mapping[str, Any], out: Path, *, limit: int | None, device: str
) -> Evaluation:
    """Run lm-eval and write its result and sample files into ``out``, as its command does."""
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    from l2_harness.paths import tasks_dir

    # With a name that ends in .json the tracker makes no folder named after the model's path.
    tracker = EvaluationTracker(output_path=str(out / "results.json"))
    started = time.perf_counter()
    results = lm_eval.simple_evaluate(
        model=model_class,
        model_args=dict(model_args),
        tasks=list(ARMS),
        batch_size=BATCH_SIZE,
        device=device,
        limit=limit,
        apply_chat_template=True,
        log_samples=True,
        evaluation_tracker=tracker,
        task_manager=TaskManager(include_path=str(tasks_dir()), include_defaults=False),
    )
    seconds = time.perf_counter() - started
    assert results is not None, "lm-eval gives results to the first process only"
    samples = results.pop("samples")
    responses = {task: [dict(sample) for sample in of_task] for task, of_task in samples.items()}
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, of_task in samples.items():
        # It writes a sample's texts in place: keep ours as they came.
        tracker.save_results_samples(task_name=task, samples=of_task)
    files = {task: out / f"samples_{task}_{tracker.date_id}.jsonl" for task in samples}
    return Evaluation(model_class, seconds, results["config"], responses, files)


def equal_responses(first: Evaluation, second: Evaluation) -> dict[str, tuple[int, int]]:
    """Task → how many responses are equal, of how many."""
    counts = {}
    for task in ARMS:
        ours, theirs = first.responses(task), second.responses(task)
        documents = ours.keys() | theirs.keys()
        counts[task] = (sum(ours.get(d) == theirs.get(d) for d in documents), len(documents))
    return counts
