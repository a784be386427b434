"""A dose is the mean ‖Δ‖/‖h‖ over edits, sinks left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from l2_harness.config import read_interventions
from l2_harness.config.techniques import dose_means, edit_sums
from l2_harness.interventions import InterventionRun, InterventionTotals, Response

#: Of rows 1 to 5, after row 0 with the prompt; the sink is a hundred times the others.
NORMS = [1.0, 2.0, 2.0, 200.0, 2.0, 4.0]


def report_of(args: dict[str, Any], norms: list[float]) -> Any:
    config = read_interventions(args)
    run = InterventionRun(config, [0], {0: float(args["threshold_values"][2:])})
    pipeline = run.pipeline([Response(1, 3)])
    for row, norm in enumerate(norms):
        pipeline.begin_pass(np.array([0]), np.array([2 + row]))
        pipeline.layer(0, torch.tensor([[norm, 0.0]]), lambda h, which: h)
    return pipeline.reports()[0]


ARGS = {
    "suppression": "peaks",
    "suppression_factor": 0.5,
    "threshold": "fixed",
    "threshold_values": "0:1.5",
    "threshold_warmup": 0,
}


def test_a_sink_is_counted_and_left_out() -> None:
    counts = report_of(ARGS, NORMS).counters[0]
    assert counts["suppressed"] == 5
    assert counts["suppression_change"] == pytest.approx(2.5)
    assert counts["suppression_dosed"] == 4
    assert counts["suppression_dose"] == pytest.approx(2.0)


def test_what_is_cut_off_is_in_no_dose() -> None:
    """Row 3 is the last but two; of the first three rows none is a sink."""
    report = report_of(ARGS, NORMS)
    assert report.cut(3).counters == report_of(ARGS, NORMS[:3]).counters
    assert report.cut(4).counters == report_of(ARGS, NORMS[:4]).counters


def test_clamping_a_sink_would_outweigh_all() -> None:
    """To 1: of 2 a half is taken, of 4 three quarters, of 200 nearly all."""
    clamp = ARGS | {"suppression_mode": "clamp", "suppression_factor": 1 / 1.5}
    counts = report_of(clamp, NORMS).counters[0]
    dose = (0.5 + 0.5 + 0.5 + 0.75) / 4
    assert dose_means(counts) == {"suppression": pytest.approx(dose)}
    edits, change, places = edit_sums(counts) or (0, 0, 0)
    assert (edits, places) == (5, 1 + 2 + 3 + 4 + 5)
    assert change / edits == pytest.approx(dose)
    totals = InterventionTotals()
    totals.add({0: counts})
    assert totals.as_dict()["dose"] == {"suppression": pytest.approx(dose)}


def test_without_an_edit_there_is_no_dose() -> None:
    counts = report_of(ARGS | {"threshold_values": "0:900"}, NORMS).counters[0]
    assert dose_means(counts) == {}
    assert edit_sums(counts) == (0, 0, 0)
