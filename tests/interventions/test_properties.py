"""Properties that hold whatever the states and settings are."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from l2_harness.config import read_interventions
from l2_harness.config.technique import numbered
from l2_harness.config.techniques import TECHNIQUES
from l2_harness.interventions import InterventionRun, Pipeline, Response
from l2_harness.interventions.bank import StateBank
from l2_harness.interventions.credits import SPENDING
from l2_harness.interventions.row_set import SlotMap
from l2_harness.interventions.steering import spending_probability
from l2_harness.interventions.thresholds import iqr_threshold
from l2_harness.norms.row_norms import row_norms
from l2_harness.random_numbers import (
    draw_bits,
    normal_vectors,
    permutations,
    uniforms,
)

SIZES = st.lists(
    st.one_of(st.floats(0.5, 100), st.sampled_from([1.0, 5.0, 50.0])), min_size=20, max_size=60
)


def _run(args: dict[str, Any], sizes: list[float], seed: int = 0) -> tuple[Pipeline, list[Tensor]]:
    """One response whose states have the norms ``sizes``; a pass makes them 1.3 × as large."""
    pipeline = InterventionRun(read_interventions(args), (4,)).pipeline([Response(seed, 1)])
    g = torch.Generator().manual_seed(seed)
    edited = []
    for position, size in enumerate(sizes):
        state = torch.randn(1, 6, generator=g, dtype=torch.float64) + 1
        pipeline.begin_pass(np.array([0]), np.array([position]))
        hidden = state * size / state.norm()
        edited.append(pipeline.layer(4, hidden, lambda h, which: h * 1.3)[0])
    return pipeline, edited


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0, 5), st.floats(0, 5))
def test_tau_rises_with_k(first: float, third: float, k: float, more: float) -> None:
    q1, q3 = torch.tensor([min(first, third)]), torch.tensor([max(first, third)])
    low, high = iqr_threshold(q1, q3, k), iqr_threshold(q1, q3, k + more)
    assert high >= low
    assert low >= q3
    if more > 0.1:
        assert high > low
    assert iqr_threshold(q3, q3, 1) == pytest.approx(float(q3) + 1e-3, rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(SIZES, st.floats(1.05, 8), st.integers(1, 6), st.sampled_from(["norm", "always", "random"]))
def test_an_accepted_pass_lies_between_the_bounds(
    sizes: list[float], ratio: float, passes: int, gate: str
) -> None:
    args = {
        "recursion": gate,
        "recursion_max_ratio": ratio,
        "recursion_max_passes": passes,
        "threshold_warmup": 3,
        "threshold_k": 0.2,
    }
    pipeline, edited = _run(args, sizes)
    (report,) = pipeline.reports()
    for event in report.events:
        tau = json.loads(event.detail or "")["threshold"]
        if event.value:
            norm = float(row_norms(edited[event.row]))
            assert tau < norm < ratio * tau * (1 + 1e-6)
            assert norm == pytest.approx(sizes[event.row] * 1.3**event.value, rel=1e-5)
        else:
            assert float(row_norms(edited[event.row])) == pytest.approx(sizes[event.row], rel=1e-6)
    counters = report.counters[4]
    assert counters["passes_accepted"] <= counters["passes_run"]
    assert counters["gates_opened"] <= counters["passes_run"] <= passes * counters["gates_opened"]
    assert all(event.row >= 3 for event in report.events)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.125, 100, width=32), max_size=40), st.integers(1, 6), st.booleans())
def test_a_bank_holds_the_highest(norms: list[float], size: int, alone: bool) -> None:
    slots = np.array([0] if alone else [2, 0])
    bank = StateBank(1 if alone else 3, size, 2, torch.float64, torch.device("cpu"))
    slot_map = SlotMap(slots, 1 if alone else 3)
    kept = []
    for i, norm in enumerate(norms):
        keep = i % 3 != 1
        kept += [norm] if keep else []
        states = torch.full((len(slots), 2), norm, dtype=torch.float64)
        bank.store(slot_map, states, states[:, 0].float(), torch.tensor([keep] * len(slots)))
    expected = sorted(kept, reverse=True)[:size]
    for slot in slots:
        states, found = bank.states(int(slot))
        assert found.tolist() == pytest.approx(expected)
        assert states[:, 0].tolist() == pytest.approx(expected)
    assert bank.sizes()[slots].tolist() == [len(expected)] * len(slots)


def test_equal_cosines_go_to_the_larger_norm() -> None:
    bank = StateBank(1, 4, 2, torch.float32, torch.device("cpu"))
    for size in (2.0, 8.0, 4.0):
        state = torch.tensor([[0.0, size]])
        bank.store(SlotMap(np.array([0]), 1), state, torch.tensor([size]), torch.tensor([True]))
    state, norm, cosine = bank.closest(
        torch.tensor([0]), torch.tensor([[0.0, 0.5]]), torch.tensor([0.5])
    )
    assert (state.tolist(), norm.item(), cosine.item()) == ([[0, 8]], 8, 1)


def test_among_equal_norms_the_first_stays() -> None:
    bank = StateBank(1, 2, 2, torch.float32, torch.device("cpu"))
    for first in (1.0, 2.0, 3.0):
        state, norm = torch.tensor([[first, 0.0]]), torch.tensor([5.0])
        bank.store(SlotMap(np.array([0]), 1), state, norm, torch.tensor([True]))
    assert sorted(bank.states(0)[0][:, 0].tolist()) == [1, 2]


def test_an_empty_bank_has_nothing_close() -> None:
    bank = StateBank(2, 3, 2, torch.float32, torch.device("cpu"))
    cosine = bank.closest(torch.tensor([1]), torch.ones(1, 2), torch.tensor([1.4]))[2]
    assert cosine.item() == -torch.inf


@settings(deadline=None, max_examples=25)
@given(
    SIZES,
    st.integers(0, 12),
    st.integers(1, 8),
    st.integers(0, 12),
    st.sampled_from(["norm", "random"]),
    st.integers(0, 5),
)
def test_cooldown_patience_and_warmup_are_respected(
    sizes: list[float], cooldown: int, patience: int, warmup: int, steering: str, seed: int
) -> None:
    args = {
        "steering": steering,
        "steering_cooldown": cooldown,
        "steering_patience": patience,
        "steering_warmup": warmup,
        "steering_probability": 1,
        "steering_min_cosine": -1,
        "threshold_k": 0.2,
    }
    pipeline, _ = _run(args, sizes, seed)
    (report,) = pipeline.reports()
    rows = [event.row for event in report.events]
    counters = report.counters[4]
    assert counters["injections"] == len(rows)
    assert all(row >= warmup and row >= 1 for row in rows)
    if steering == "norm":
        assert all(b - a >= max(cooldown, patience) for a, b in pairwise(rows))
        assert all(row >= patience - 1 for row in rows)
        assert len(rows) <= counters["streaks"]
        assert counters["steering_credits_left"] == 0
    else:
        assert counters["steering_credits_left"] >= 0


@settings(deadline=None, max_examples=25)
@given(SIZES, st.integers(0, 12), st.integers(0, 20))
def test_random_suppression_edits_as_many_rows_none_of_them_a_peak(
    sizes: list[float], warmup: int, seed: int
) -> None:
    args = {"threshold_warmup": warmup, "threshold_k": 0.5}
    peaks = _run(args | {"suppression": "peaks"}, sizes, seed)[0].reports()[0]
    random = _run(args | {"suppression": "random"}, sizes, seed)[0].reports()[0]
    counters = random.counters[4]
    assert (
        counters["suppressed"] + counters["suppression_credits_left"]
        == (peaks.counters[4]["suppressed"])
    )
    assert not {e.row for e in peaks.events} & {e.row for e in random.events}
    assert all(event.row >= max(warmup, 1) for event in random.events)


@settings(deadline=None, max_examples=25)
@given(SIZES, st.integers(0, 20))
def test_random_recursion_opens_as_many_gates(sizes: list[float], seed: int) -> None:
    args = {"threshold_warmup": 4, "threshold_k": 0.2, "recursion_max_ratio": 4}
    norm = _run(args | {"recursion": "norm"}, sizes, seed)[0].reports()[0].counters[4]
    random = _run(args | {"recursion": "random"}, sizes, seed)[0].reports()[0].counters[4]
    assert random["gates_opened"] + random["recursion_credits_left"] == norm["gates_opened"]


def test_random_rows_answer_a_trigger_after_a_random_delay() -> None:
    """The delays are geometric: 1/p rows on average, and long ones occur."""
    rng = np.random.default_rng(0)
    sizes = np.where(np.arange(4000) % 20 == 0, 60.0, rng.uniform(5, 10, 4000)).tolist()
    report = _run({"suppression": "random"}, sizes)[0].reports()[0]
    rows = np.array([event.row for event in report.events])
    delays = rows % 20
    assert len(rows) > 190
    assert 0 not in delays
    assert abs(delays.mean() - 1 / SPENDING) < 0.8
    for k in (1, 2, 3):
        share, expected = (delays == k).mean(), SPENDING * (1 - SPENDING) ** (k - 1)
        assert abs(share - expected) < 0.09
    assert max(delays) > 5


PURPOSES = [purpose for technique in TECHNIQUES for purpose in technique.purposes]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_draws_are_uniform_and_unlike_each_other(purpose: str) -> None:
    keys = np.arange(4000, dtype=np.uint64)
    rows = np.zeros(4000, dtype=np.int64)
    one = uniforms(draw_bits(keys, purpose, 3, rows))
    assert abs(one.mean() - 0.5) < 0.02
    assert abs(np.quantile(one, 0.9) - 0.9) < 0.02
    for other in (
        draw_bits(keys, purpose, 4, rows),
        draw_bits(keys, purpose, 3, rows + 1),
        draw_bits(keys + np.uint64(1), purpose, 3, rows),
        draw_bits(keys, PURPOSES[PURPOSES.index(purpose) - 1], 3, rows),
    ):
        assert abs(np.corrcoef(one, uniforms(other))[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("purpose", "number"),
    [
        ("recursion_moment", 13690294703947555733),
        ("steering_moment", 670899975351931957),
        ("steering_random_moment", 13540873146383641197),
        ("steering_vector", 17114700101058541814),
        ("suppression_moment", 7432988668579601880),
        ("suppression_layer", 6573174478762112214),
    ],
)
def test_streams_are_those_of_earlier_versions(purpose: str, number: int) -> None:
    """A run that goes on draws what it would have drawn: numbers of version 0.2.0."""
    (drawn,) = draw_bits(np.array([7], dtype=np.uint64), purpose, 3, np.array([5]))
    assert int(drawn) == number


def test_purposes_have_streams_of_their_own() -> None:
    numbers = [number for technique in TECHNIQUES for number in technique.purposes.values()]
    numbers += numbered("a", "b").values()
    assert len(set(numbers)) == len(numbers)
    with pytest.raises(KeyError, match="no technique declares the random purpose 'sterring'"):
        draw_bits(np.zeros(1, dtype=np.uint64), "sterring", 0, np.zeros(1, dtype=np.int64))


def test_random_vectors() -> None:
    bits = torch.from_numpy(
        draw_bits(np.arange(50, dtype=np.uint64), "steering_vector", 1, np.arange(50)).view(
            np.int64
        )
    )
    normal = normal_vectors(bits, 400)
    assert normal.isfinite().all()
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.03
    order = permutations(bits, 400)
    assert torch.equal(order.sort(1).values, torch.arange(400).expand(50, -1))
    assert not torch.equal(order[0], order[1])


def test_credits_of_the_random_control_can_be_spent() -> None:
    """Twice as fast as they can come in, at least."""
    dense = read_interventions({"steering_patience": 1, "steering_cooldown": 1}).steering
    sparse = read_interventions({}).steering
    assert spending_probability(dense) == 1
    assert spending_probability(sparse) == SPENDING
