"""What is said at the end of an evaluation: true at 1 as at 10,000, and naming what to change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from l2_harness.config import read_interventions
from l2_harness.interventions import InterventionTotals
from l2_harness.models.closing_words import closing_line, warnings
from l2_harness.models.tally import Tally
from l2_harness.norms.summary import NormSummary


def tally(responses: int, length: int, recorded: bool = True, **counters: int) -> Tally:
    """Of responses that have these counters at one layer each."""
    totals = InterventionTotals()
    for _ in range(responses):
        totals.add({9: {"rows": length, **counters}})
    norms = NormSummary([9]) if recorded else None
    if norms is not None:
        for _ in range(responses):
            norms.of_task("t").add_sum(length, np.zeros(1))
    return Tally(norms, totals, [length] * responses)


@pytest.mark.parametrize(
    ("found", "args", "line"),
    [
        (tally(1, 1), {}, "recorded 1 row of 1 response"),
        (tally(1200, 10), {}, "recorded 12,000 rows of 1,200 responses"),
        (
            tally(1, 50, peaks=1, editable_rows=18, editable_peaks=1, recursion_changed=1),
            {"recursion": "norm"},
            "recorded 50 rows of 1 response; 1 peak over 1 layer, 1 of them after the warm-up "
            "(5.6 % of 18 states there), 1 edit (1 a response)",
        ),
        (
            tally(3, 50, recorded=False, peaks=4, suppressed=2, injections=1),
            {"suppression": "peaks", "steering": "norm"},
            "12 peaks over 1 layer, none of them after the warm-up (0 states there), 9 edits "
            "(3 a response)",
        ),
        (
            tally(10, 50, False, peaks=900, editable_rows=100, passes_run=100, passes_accepted=7),
            {"recursion": "always"},
            "9,000 peaks over 1 layer, none of them after the warm-up (0 % of 1,000 states there), "
            "0 edits (0 a response); recursion=always: 70 of 1,000 extra passes accepted",
        ),
        (tally(2, 5, recorded=False), {}, None),
    ],
)
def test_one_line(found: Tally, args: dict[str, Any], line: str | None) -> None:
    assert closing_line(found, read_interventions(args)) == line


def test_what_an_earlier_run_left_is_told() -> None:
    found = tally(3, 5)
    found.recalled = 1
    line = closing_line(found, read_interventions({}))
    assert line == "recorded 15 rows of 3 responses; 1 response from an earlier run"


def test_layers_at_which_no_pass_was_accepted_are_named() -> None:
    totals = InterventionTotals()
    for layer, accepted in ((20, 1), (21, 0), (22, 0)):
        totals.add({layer: {"passes_run": 2, "passes_accepted": accepted}})
    line = closing_line(Tally(interventions=totals), read_interventions({"recursion": "always"}))
    assert line is not None
    assert line.endswith("recursion=always: 1 of 6 extra passes accepted, none at layers 21 to 22")


@pytest.mark.parametrize(
    ("args", "counters", "setting"),
    [
        ({"recursion": "norm", "threshold_warmup": 60}, {}, "recursion_warmup"),
        ({"suppression": "peaks", "threshold_warmup": 60}, {}, "threshold_warmup"),
        ({"suppression": "peaks"}, {}, "threshold_k"),
        (
            {"suppression": "peaks", "threshold": "fixed", "threshold_values": "9:7"},
            {},
            "threshold_values",
        ),
        ({"recursion": "norm"}, {"peaks": 3, "passes_run": 3}, "recursion_min_growth"),
        ({"recursion": "entropy"}, {}, "recursion_entropy"),
        ({"steering": "norm"}, {"peaks": 2}, "steering_patience"),
        ({"steering": "norm"}, {"peaks": 2, "streaks": 4}, "steering_min_cosine"),
        ({"suppression": "random"}, {"peaks": 1, "editable_peaks": 1}, "threshold_k"),
        ({"suppression": "random"}, {"peaks": 1}, "threshold_prompt=true"),
        ({"recursion": "norm"}, {"peaks": 2}, "threshold_prompt=true"),
    ],
    ids=str,
)
def test_a_technique_that_never_acted(
    args: dict[str, Any], counters: dict[str, int], setting: str
) -> None:
    (warning,) = warnings(tally(1, 50, True, **counters), read_interventions(args))
    (technique,) = [name for name in ("recursion", "steering", "suppression") if name in args]
    assert warning.startswith(f"{technique}={args[technique]} acted on 0 of 1 response. ")
    assert f" {setting}" in warning
    if "passes_run" in counters:
        assert "3 passes ran and 0 were accepted" in warning


def test_few_are_a_tenth() -> None:
    config = read_interventions({"suppression": "peaks"})
    found = tally(19, 50)
    found.interventions.add({9: {"suppressed": 4}})
    (warning,) = warnings(found, config)
    assert warning.startswith("suppression=peaks acted on 1 of 20 responses. ")
    found.interventions.add({9: {"suppressed": 1}})
    found.interventions.add({10: {"suppressed": 1}, 9: {}})
    assert [*warnings(found, config)] == []


def test_nothing_ran_nothing_is_amiss() -> None:
    assert [*warnings(Tally(), read_interventions({"recursion": "norm"}))] == []
