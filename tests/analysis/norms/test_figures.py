"""The sections' figures of a model of 30 layers, whatever was right and wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.analysis.norms.study import Study, StudyOptions, study
from l2_harness.analysis.norms.write import sections
from l2_harness.lm_eval_files.verdicts import Verdicts
from l2_harness.norms import TraceWriter

TASK = "l2_bbh_tracking_shuffled_objects_seven_objects_validation"
LAYERS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Any]) -> Path:
    """Two samples each to 24 questions, and a direct response."""
    path = tmp_path_factory.mktemp("deep")
    rng = np.random.default_rng(0)
    writer = TraceWriter(path, "run")
    writer.describe_run({"tokenizer": "demo"})
    made = [
        record(rng, 12, LAYERS, task=task, doc_id=question, sample=sample)
        for task, samples in ((TASK, 2), ("direct", 1))
        for question in range(24)
        for sample in range(samples)
    ]
    writer.write(made)
    return path


def studied(folder: Path, right: Callable[[int], np.ndarray]) -> Study:
    def judge(traces: pd.DataFrame) -> Verdicts:
        return Verdicts(right(len(traces)).astype(float), "exact_match", "made up")

    return study(StudyOptions(folder, TASK, resamples=50, direct="direct"), judge)


def chance(n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, n)


@pytest.mark.parametrize("right", [np.zeros, np.ones, chance])
def test_all_figures(
    right: Callable[[int], np.ndarray], folder: Path, figure_faults: Callable[[Any], list[str]]
) -> None:
    found = sections(studied(folder, right), "cmd")
    figures = {(one.name, figure.name): figure.drawing for one in found for figure in one.figures}
    about_correctness = {("norms", name) for name in ("by_layer", "pooled_and_within")}
    shown = about_correctness & figures.keys()
    assert shown == (about_correctness if right is chance else set())
    assert {name: faults for name, one in figures.items() if (faults := figure_faults(one))} == {}
