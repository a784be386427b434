"""``suppression=shuffled``: peaks' edits at other layers, whatever the norms are."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from l2_harness.config import ConfigError, read_interventions
from l2_harness.interventions import InterventionRun, Response, ResponseReport

LAYERS = (2, 3, 5, 8)
WIDTH = 4
SIZES = st.lists(
    st.lists(st.sampled_from([1.0, 1.5, 2.0, 9.0, 20.0]), min_size=4, max_size=4),
    min_size=12,
    max_size=50,
)


def states_of(sizes: list[list[float]]) -> Tensor:
    """(rows, layers, d) float64, of the given norms."""
    g = torch.Generator().manual_seed(1)
    directions = torch.randn(len(sizes), len(sizes[0]), WIDTH, generator=g, dtype=torch.float64)
    norms = torch.tensor(sizes, dtype=torch.float64).unsqueeze(-1)
    return directions / directions.norm(dim=-1, keepdim=True) * norms


def run(
    word: str,
    sizes: list[list[float]],
    seed: int = 0,
    layers: tuple[int, ...] = LAYERS,
    **args: Any,
) -> tuple[ResponseReport, Tensor]:
    """One response whose layers' own outputs have the norms ``sizes``, edits or not."""
    config = read_interventions(
        {"suppression": word, "threshold_warmup": 4, "threshold_k": 0.5, **args}
    )
    pipeline = InterventionRun(config, layers).pipeline([Response(seed, 1)])
    states, edited = states_of(sizes), []
    for row, of_layers in enumerate(states):
        pipeline.begin_pass(np.array([0]), np.array([row]))
        edited.append(
            torch.cat([pipeline.layer(m, of_layers[i : i + 1]) for i, m in enumerate(layers)])
        )
    return pipeline.reports()[0], torch.stack(edited)


def places(report: ResponseReport) -> set[tuple[int, int]]:
    """(row, layer) of every edit."""
    return {(event.row, event.layer) for event in report.events if event.kind == "suppression"}


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(0, 20), st.sampled_from(["scale", "clamp", "norm", "angle"]))
def test_as_many_edits_none_of_them_at_a_peak(
    sizes: list[list[float]], seed: int, mode: str
) -> None:
    """Where editing changes no norm that follows, the peaks are those of the other arm."""
    peaks, _ = run("peaks", sizes, seed, suppression_mode=mode)
    shuffled, states = run("shuffled", sizes, seed, suppression_mode=mode)
    total = {
        name: sum(c[name] for c in shuffled.counters.values())
        for name in ("suppressed", "suppression_credits_left", "peaks")
    }
    assert total["suppressed"] + total["suppression_credits_left"] == len(places(peaks))
    assert total["suppressed"] == len(places(shuffled))
    assert not places(peaks) & places(shuffled)
    for event in shuffled.events:
        assert event.value <= json.loads(event.detail or "")["threshold"]
    own = states_of(sizes)
    for row, layer in np.ndindex(*own.shape[:2]):
        if (row, LAYERS[layer]) not in places(shuffled):
            assert torch.equal(states[row, layer], own[row, layer])
        elif mode == "scale":
            torch.testing.assert_close(states[row, layer], own[row, layer] * 0.1)


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(0, 20))
def test_no_edit_before_its_peak_or_at_the_peaks_own_layer(
    sizes: list[list[float]], seed: int
) -> None:
    """At every moment a layer has had at most as many edits as the others have had peaks: those
    of later layers up to the row before, those of earlier ones up to the same row.
    """
    peaks = places(run("peaks", sizes, seed)[0])
    shuffled = places(run("shuffled", sizes, seed)[0])
    for row, layer in shuffled:
        made = sum(m == layer and r <= row for r, m in shuffled)
        earned = sum((r, m) < (row, layer) and m != layer for r, m in peaks)
        assert made <= earned


def lone_peaks(n: int, every: int = 6) -> list[list[float]]:
    """Rows of equal norms, where one layer peaks now and then, each in turn."""
    rng = np.random.default_rng(0)
    sizes = rng.uniform(1, 1.1, (n * every + 5, len(LAYERS)))
    for i in range(n):
        sizes[5 + i * every, i % len(LAYERS)] = 50.0
    return sizes.tolist()


def test_a_lone_peak_is_answered_at_once_at_any_other_layer() -> None:
    """In the same row where the other layer is later, in the next one where it is earlier."""
    n = 400
    sizes = lone_peaks(n)
    peaks = sorted(places(run("peaks", sizes, threshold_k=8)[0]))
    shuffled = sorted(places(run("shuffled", sizes, seed=3, threshold_k=8)[0]))
    assert len(peaks) == len(shuffled) == n
    went: dict[int, Counter[int]] = defaultdict(Counter)
    for (row, source), (edited, target) in zip(peaks, shuffled, strict=True):
        assert target != source
        assert edited == row + (target < source)
        went[source][target] += 1
    for source, counts in went.items():
        assert set(counts) == set(LAYERS) - {source}
        assert min(counts.values()) > 15  # 33 expected, of 100


def test_a_response_has_its_own_layers() -> None:
    sizes = lone_peaks(40)
    first, again, other = (
        places(run("shuffled", sizes, seed, threshold_k=8)[0]) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_layer_that_peaks_keeps_the_edit_for_later() -> None:
    """Two layers that peak together, twice in a row: each edits the two rows after."""
    sizes = [[1.0, 1.01], [1.02, 1.0]] * 10
    for row in (12, 13):
        sizes[row] = [50.0, 50.0]
    report, _ = run("shuffled", sizes, layers=(1, 2), threshold_k=8)
    assert places(report) == {(14, 1), (15, 1), (14, 2), (15, 2)}
    report, _ = run("shuffled", sizes[:15], layers=(1, 2), threshold_k=8)
    assert places(report) == {(14, 1), (14, 2)}
    assert [report.counters[m]["suppression_credits_left"] for m in (1, 2)] == [1, 1]


def test_in_a_scored_text_edits_go_to_later_layers(scored: list[list[float]]) -> None:
    """All rows are in one pass. What peaks at the last layer is left over."""
    config = read_interventions({"suppression": "shuffled", "threshold_warmup": 0})
    context = 20
    pipeline = InterventionRun(config, LAYERS).pipeline([Response(5, context, scored=True)])
    n = len(scored)
    pipeline.begin_pass(np.zeros(n, dtype=np.int64), np.arange(n))
    states = states_of(scored)
    for i, layer in enumerate(LAYERS):
        pipeline.layer(layer, states[:, i])
    (report,) = pipeline.reports()
    found = places(report)
    assert {layer for _, layer in found} == {3, 5, 8}
    # lone peaks in turn at the layers, the first at the sixth row after row 0
    peaks = {6 * (i + 1): i % len(LAYERS) for i in range(40)}
    assert {row for row, _ in found} == {row for row, i in peaks.items() if i < 3}
    assert report.counters[8]["suppression_credits_left"] == 10
    assert all(report.counters[m]["suppression_credits_left"] == 0 for m in (2, 3, 5))


@pytest.fixture
def scored() -> list[list[float]]:
    return [[1.0, 1.1, 1.05, 1.0], [1.1, 1.0, 1.0, 1.1]] * 10 + lone_peaks(40)


def test_several_new_rows_of_a_generated_response_are_refused() -> None:
    config = read_interventions({"suppression": "shuffled"})
    pipeline = InterventionRun(config, LAYERS).pipeline([Response(0, 1), Response(1, 1)])
    pipeline.begin_pass(np.array([0, 1]), np.array([0, 0]))
    for layer in LAYERS:
        pipeline.layer(layer, torch.ones(2, 3))
    with pytest.raises(ValueError, match="one new row of a response a pass"):
        pipeline.begin_pass(np.array([0, 0, 1]), np.array([1, 2, 1]))


def test_one_layer_is_not_enough() -> None:
    with pytest.raises(ConfigError, match="needs two of them; monitored is 4 alone"):
        InterventionRun(read_interventions({"suppression": "shuffled"}), (4,))


def test_long_responses() -> None:
    """The table of what was handed on grows with the rows."""
    sizes = lone_peaks(150)
    assert len(sizes) > 3 * 256
    report, _ = run("shuffled", sizes, threshold_k=8)
    assert len(places(report)) == 150
