"""What a run took, read from the part of its result file that l2hf writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from l2_harness.lm_eval_files.recorded_cost import recorded_cost
from l2_harness.lm_eval_files.runs import Run


def run_of(settings: dict[str, Any], **counts: int) -> Run:
    """A run of 12 decoder layers: 100 rows, 40 of them of the task ``a``."""
    interventions = {"settings": settings, "all_layers": counts}
    ours = {"rows": 100, "decoder_layers": 12, "tasks": {"a": {"rows": 40}}}
    config = {"l2": {**ours, "interventions": interventions}}
    return Run(Path("results.json"), "", {"config": config})


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ({"recursion": "norm"}, 4),
        ({"recursion": "entropy", "recursion_top_layers": 5}, 4 * 5),
        ({"recursion": "entropy"}, 4 * 3),  # the top quarter of the layers
        ({"recursion": "entropy", "recursion_top_layers": None}, 4 * 3),
        ({"suppression": "peaks"}, 0),
        ({"recursion": "norm", "threshold": "calibrated", "calibration": "not/here.json"}, 4),
        ({"recursion": "of another version"}, None),
    ],
)
def test_a_tasks_share_of_the_extra_passes(settings: dict[str, Any], passes: int | None) -> None:
    cost = recorded_cost(run_of(settings, passes_run=10), ["a"])
    assert cost.extra_layer_passes == passes
    assert cost.tokens == 40


def test_what_became_of_the_extra_passes() -> None:
    run = run_of({"recursion": "always"}, passes_run=10)
    layers = {
        "7": {"passes_run": 6, "passes_accepted": 2},
        "8": {"passes_run": 4, "passes_accepted": 0},
        "9": {"passes_run": 0, "passes_accepted": 0},
    }
    run.config["l2"]["interventions"]["layers"] = layers
    cost = recorded_cost(run, ["a"])
    assert (cost.passes, cost.accepted, cost.layers_without) == (10, 2, 1)


def test_without_counts_nothing_is_known() -> None:
    assert recorded_cost(run_of({"recursion": "norm"}), ["a"]).extra_layer_passes is None
