"""Correlations and trends against scipy and slow definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import entropy, spearmanr

from l2_harness.analysis.sae.correlate import (
    STATISTICS,
    across_layers,
    difference_columns,
    layer_rows,
    within_layer,
    within_layers,
)
from l2_harness.analysis.sae.feature_sets import FeatureSet, LayerFeatures
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import pair_tasks
from l2_harness.analysis.sae.trend import layer_means, rises, trend_table
from l2_harness.analysis.states.forcing import ENTROPIES
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError
from l2_harness.statistics.associations import correlation_interval
from l2_harness.statistics.resamples import association

D = 32
SELECTED, RANDOM = (1, 5), np.array([[2, 9], [20, 21], [7, 30]])


@pytest.fixture
def saes(standard_sae: Callable[..., LoadedSae]) -> list[LoadedSae]:
    generator = torch.Generator().manual_seed(5)
    return [
        standard_sae(torch.randn(D, D, generator=generator), bias=-3.0, layer=layer)
        for layer in (0, 3)
    ]


@pytest.fixture
def features(noise_store: StateStore) -> FeatureSet:
    pairs = pair_tasks(noise_store, None, None, 0)
    one = LayerFeatures(0, "toy", D, SELECTED, RANDOM, np.ones(2), np.ones((3, 2)), (5,))
    two = LayerFeatures(3, "toy", D, SELECTED, RANDOM, np.ones(2), np.ones((3, 2)), (1, 5))
    return FeatureSet(pairs, "difference", (one, two))


def test_within_layers_against_scipy(
    noise_store: StateStore, saes: list[LoadedSae], features: FeatureSet
) -> None:
    table = within_layers(noise_store, saes, features, resamples=40)
    responses = noise_store.responses(task="t", questions=features.pairs.held)
    own_rows = noise_store.rows_of(responses)
    position = np.concatenate([np.arange(30)] * len(responses))
    for loaded in saes:
        states = noise_store.take(loaded.layer, own_rows)
        acts = loaded.encode(states).numpy()
        column = noise_store.layers.index(loaded.layer)
        known = {
            "norm": states.norm(dim=-1).numpy(),
            "entropy": noise_store.values("entropy", responses),
            "margin": noise_store.values("margin", responses),
            "change": noise_store.by_layer("change", responses)[:, column],
            "hidden_entropy": entropy((states**2).numpy(), axis=1),
        }
        for name, values in known.items():
            one = table[(table["layer"] == loaded.layer) & (table["statistic"] == name)].iloc[0]
            target = acts[:, SELECTED].mean(1)
            assert one["reasoning"] == pytest.approx(spearmanr(values, target)[0], abs=1e-4)
            draws = [spearmanr(values, acts[:, d].mean(1))[0] for d in RANDOM]
            assert one["random"] == pytest.approx(np.mean(draws), abs=1e-4)
            assert one["random_lowest"] == pytest.approx(min(draws), abs=1e-4)
            assert one["random_highest"] == pytest.approx(max(draws), abs=1e-4)
            assert one["difference"] == pytest.approx(one["reasoning"] - one["random"])
            questions = np.arange(len(position))
            partial = correlation_interval(values, target, questions, [position], resamples=0)
            assert one["reasoning_partial"] == pytest.approx(partial.value, abs=1e-4)
            assert one["reasoning_low"] <= one["reasoning"] <= one["reasoning_high"]
    assert (table["difference_holm"] >= table["difference_p"]).all()


def test_intervals_resample_questions(
    noise_store: StateStore, saes: list[LoadedSae], features: FeatureSet
) -> None:
    """The interval against a slow bootstrap that repeats the rows of drawn questions."""
    rows = layer_rows(noise_store, saes[0], features)
    (found,) = (r for r in within_layer(rows, resamples=800) if r["statistic"] == "norm")
    rng = np.random.default_rng(9)
    questions = np.unique(rows.questions)
    by_question = {q: np.flatnonzero(rows.questions == q) for q in questions}
    drawn = []
    for _ in range(800):
        chosen = rng.choice(questions, len(questions))
        index = np.concatenate([by_question[q] for q in chosen])
        drawn.append(spearmanr(rows.statistics[0, index], rows.reasoning[index])[0])
    known = association(np.array([found["reasoning"], *drawn])[:, None], len(questions) - 1)
    width = float(known.high[0] - known.low[0])
    assert found["reasoning_low"] == pytest.approx(known.low[0], abs=0.1 * width)
    assert found["reasoning_high"] == pytest.approx(known.high[0], abs=0.1 * width)


def test_rows_are_drawn_evenly(
    noise_store: StateStore, saes: list[LoadedSae], features: FeatureSet
) -> None:
    rows = layer_rows(noise_store, saes[0], features, max_rows=100)
    assert rows.names == tuple(n for n in STATISTICS if n not in ENTROPIES)
    assert rows.statistics.shape == (len(rows.names), 100)
    assert len(rows.position) == len(rows.reasoning) == 100
    assert set(rows.questions) <= set(features.pairs.held)


def test_across_layers_against_scipy(
    noise_store: StateStore, saes: list[LoadedSae], features: FeatureSet
) -> None:
    from dataclasses import replace

    means = layer_means(noise_store, saes, features)
    more = [replace(m, layer=m.layer + 10, values=m.values * f) for f in (0.5, 3) for m in means]
    table = across_layers([*means, *more], resamples=50)
    profile = np.array([m.values[0].mean(1) for m in [*means, *more]])
    own = table[table["statistic"] == "norm"].iloc[0]
    assert own["reasoning"] == pytest.approx(spearmanr(profile[:, 2], profile[:, 0])[0])
    draws = [
        spearmanr(profile[:, 2], [m.random[d].mean() for m in [*means, *more]])[0] for d in range(3)
    ]
    assert own["random"] == pytest.approx(np.mean(draws))
    assert own["layers"] == 6
    assert set(table["statistic"]) == {"norm", "change", "hidden_entropy"}
    responses = noise_store.responses(task="t", questions=features.pairs.held)
    states = noise_store.take(0, noise_store.rows_of(responses)).numpy()
    known = entropy(states**2, axis=1).reshape(-1, 30).mean(1)
    asked = noise_store.index["question"].to_numpy()[responses]
    expected = [known[asked == q].mean() for q in features.pairs.held]
    assert means[0].statistics["hidden_entropy"] == pytest.approx(expected, rel=1e-4)


def test_trend_against_the_definition(
    noise_store: StateStore, saes: list[LoadedSae], features: FeatureSet
) -> None:
    means = layer_means(noise_store, saes, features)
    table = trend_table(means).set_index("layer")
    for task, kind in (("t", "thinking"), ("t_direct", "direct")):
        responses = noise_store.responses(task=task, questions=features.pairs.held)
        states = noise_store.take(3, noise_store.rows_of(responses))
        acts = saes[1].encode(states)  # as many rows a response: the mean of means is the mean
        row = table.loc[3]
        assert row[f"reasoning_{kind}"] == pytest.approx(float(acts[:, SELECTED].mean()), rel=1e-4)
        random = float(acts[:, RANDOM.ravel()].mean())
        assert row[f"random_{kind}"] == pytest.approx(random, rel=1e-4)
        norm = float(states.norm(dim=-1).mean())
        assert row[f"norm_{kind}"] == pytest.approx(norm, rel=1e-4)
        assert row[f"norm_{kind}_low"] < norm < row[f"norm_{kind}_high"]
    row = table.loc[3]
    ratio = row["reasoning_thinking"] / row["random_thinking"]
    assert row["reasoning_over_random"] == pytest.approx(ratio)
    found = {r.name: r for r in rises(means, resamples=50)}
    assert found["norm"].depth.value == 1  # layer 3 is layer 0 doubled
    assert found["norm"].late.value == pytest.approx(2, rel=1e-3)


def test_without_detectors_of_words(
    noise_store: StateStore, saes: list[LoadedSae], features: FeatureSet
) -> None:
    left = features.without_words()
    assert [one.layer for one in left.layers] == [0]  # at layer 3 both are
    assert left.layers[0].selected == (1,)
    assert left.layers[0].random.tolist() == [[2], [20], [7]]
    assert [one.layer for one in left.readers(saes)] == [0]
    assert len(within_layers(noise_store, left.readers(saes), left, resamples=20)) == 5
    from dataclasses import replace

    untested = replace(features, layers=(replace(features.layers[0], word_detectors=None),))
    with pytest.raises(ConfigError, match="injected-token test"):
        untested.without_words()


def test_a_difference_is_no_surer_than_its_draws() -> None:
    sure = difference_columns(0.2, 0.025, 200, np.array([0.3, 0.3, 0.3]))
    unsure = difference_columns(0.2, 0.025, 200, np.array([0.0, 0.3, 0.6]))
    assert sure["difference_p"] < 1e-6  # type: ignore[operator]
    assert unsure["difference_p"] > 0.1  # type: ignore[operator]
    assert unsure["difference_low"] < 0 < sure["difference_low"]  # type: ignore[operator]
    # few layers have few orders, so that resamples and draws may all have the same
    alike = difference_columns(1e-17, 1e-17, 200, np.array([0.6, 0.6, 0.6]))
    unknown = (alike[f"difference_{name}"] for name in ("low", "high", "p"))
    assert all(np.isnan(value) for value in unknown)  # type: ignore[call-overload]
