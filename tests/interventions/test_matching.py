"""Random controls that match a recorded run: as many states changed, around the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2_harness.config import ConfigError, read_interventions
from l2_harness.interventions import InterventionRun, Response, ResponseReport
from l2_harness.interventions.edit_plans import REACH, EditPlans, RecordedEdits, placed
from l2_harness.random_numbers import draw_bits, uniforms

LAYER = 4
WARMUP = 6
SIZES = st.lists(
    st.one_of(st.floats(0.5, 100), st.sampled_from([1.0, 5.0, 50.0])), min_size=40, max_size=90
)
#: Technique → its own kind, the control, the event, and what makes it act on made-up states.
TECHNIQUES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "recursion": ("norm", "recursion", {"recursion_max_ratio": 4}),
    "suppression": ("peaks", "suppression", {}),
    "steering": (
        "norm",
        "injection",
        {"steering_patience": 2, "steering_cooldown": 3, "steering_probability": 1},
    ),
}


def run(
    args: dict[str, Any], sizes: list[float], seed: int = 0, recorded: RecordedEdits | None = None
) -> ResponseReport:
    """One response whose states have the norms ``sizes``; a pass makes them 1.3 × as large."""
    args = {"threshold_warmup": WARMUP, "threshold_k": 0.3, **args}
    config = read_interventions(args | ({"matched_to": "traces"} if recorded else {}))
    response = Response(seed, 1, recorded=recorded)
    pipeline = InterventionRun(config, (LAYER,)).pipeline([response])
    g = torch.Generator().manual_seed(1)
    for row, size in enumerate(sizes):
        state = torch.randn(1, 6, generator=g, dtype=torch.float64) + 1
        pipeline.begin_pass(np.array([0]), np.array([row]))
        pipeline.layer(LAYER, state * size / state.norm(), lambda h, which: h * 1.3)
    return pipeline.reports()[0]


def changed(report: ResponseReport, kind: str) -> list[int]:
    """The rows whose state was changed."""
    own = [event for event in report.events if event.kind == kind]
    return [event.row for event in own if kind != "recursion" or event.value]


def both(technique: str, sizes: list[float], seed: int) -> tuple[list[int], list[int], Any]:
    """The rows that the technique changed, those that its matched control did, its report."""
    word, kind, more = TECHNIQUES[technique]
    own = changed(run({technique: word, **more}, sizes, seed), kind)
    rows = np.array(own, dtype=np.int64)
    recorded = RecordedEdits(len(sizes), {(technique, LAYER): rows})
    control = run({technique: "random", **more}, sizes, seed, recorded)
    return own, changed(control, kind), control


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(0, 20), st.sampled_from(sorted(TECHNIQUES)))
def test_what_is_not_changed_is_left_over(sizes: list[float], seed: int, technique: str) -> None:
    own, control, report = both(technique, sizes, seed)
    left = report.counters[LAYER][f"{technique}_credits_left"]
    assert len(control) + left == min(len(own), len(sizes) - WARMUP)
    assert all(row >= WARMUP for row in control)


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(0, 20))
def test_suppression_against_a_slow_count(sizes: list[float], seed: int) -> None:
    """Due at its place or, where that row is a peak, at the next that is none."""
    own, control, report = both("suppression", sizes, seed)
    draws = [
        uniforms(
            draw_bits(
                np.array([seed], dtype=np.uint64), "suppression_place", LAYER, np.array([row])
            )
        )[0]
        for row in own
    ]
    due = set(placed(np.array(own, dtype=np.int64), len(sizes), WARMUP, np.array(draws)).tolist())
    owed, expected = 0, []
    for row in range(WARMUP, len(sizes)):
        owed += row in due
        if owed and row not in own:  # no norm depends on an edit, so the peaks are the same
            owed -= 1
            expected.append(row)
    assert control == expected
    assert owed == report.counters[LAYER]["suppression_credits_left"]


@pytest.mark.parametrize("technique", sorted(TECHNIQUES))
def test_as_many_and_in_the_same_places(technique: str) -> None:
    """Over responses with peaks all over, ends included: at most 5 % left, and no lag."""
    rng = np.random.default_rng(0)
    numbers, places = np.zeros((20, 2)), np.zeros((20, 2))
    for seed in range(20):
        sizes = rng.lognormal(2, 0.4, 120).tolist()
        own, control, _ = both(technique, sizes, seed)
        numbers[seed] = len(own), len(control)
        places[seed] = sum(own), sum(control)
    total = numbers.sum(0)
    assert total[0] > 60
    assert 0.95 <= total[1] / total[0] <= 1
    mean = places.sum(0) / total
    assert abs(mean[1] - mean[0]) < 3.5


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_places(data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(2, 200))
    first = data.draw(st.integers(0, n_rows - 1))
    rows = data.draw(st.lists(st.integers(first, n_rows - 1), unique=True, max_size=40))
    edits = np.array(sorted(rows), dtype=np.int64)
    draws = np.random.default_rng(data.draw(st.integers(0, 9))).random(len(edits))
    found = placed(edits, n_rows, first, draws)
    assert len(set(found.tolist())) == len(found) == len(edits)
    assert all(first <= row < n_rows for row in found)
    if n_rows - first >= 2 * len(edits):
        assert not set(found.tolist()) & set(rows)


def test_places_are_uniform_around_an_edit() -> None:
    draws = (np.arange(3300) + 0.5) / 3300
    found = np.concatenate([placed(np.array([50]), 100, 0, draws[i : i + 1]) for i in range(3300)])
    steps, counts = np.unique(found - 50, return_counts=True)
    assert set(steps) == set(range(-REACH, REACH + 1)) - {0}
    assert found.mean() == pytest.approx(50, abs=0.1)
    assert sorted(set(counts)) == [100, 200]  # the edit's own row goes to a neighbour


def test_a_slot_is_used_again() -> None:
    plans = EditPlans(2, {"suppression": 0})
    plans.start(1, 7, RecordedEdits(30, {("suppression", LAYER): np.array([10])}))
    plans.start(1, 7, None)
    plans.start(0, 7, RecordedEdits(400, {("suppression", LAYER): np.array([300])}))
    wave: Any = type("Wave", (), {"slots": np.array([0, 1]), "__len__": lambda self: 2})()
    hits = []
    for row in range(450):
        wave.rows = np.array([row, row])
        hits.append(plans.due("suppression", LAYER, wave))
    assert np.sum(hits, axis=0).tolist() == [1, 0]
    assert abs(int(np.argmax([hit[0] for hit in hits])) - 300) <= REACH


def test_without_a_random_control_there_is_nothing_to_match() -> None:
    with pytest.raises(ConfigError, match=r"matched_to='traces' is for random controls"):
        read_interventions({"suppression": "peaks", "matched_to": "traces"})
