"""Planted features are found on one half and scored on the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.analysis.sae.choosing import FeatureOptions, choose_features, score_table
from l2_harness.analysis.sae.contrast import HeldMeans, contrast, held_means, score, select
from l2_harness.analysis.sae.feature_sets import FILE, read_features
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.matching import matched_features
from l2_harness.analysis.sae.pairs import pair_tasks
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError

D = 32
PLANTED = (4, 11)


def planted(rng: np.random.Generator, thinking: bool, rows: int) -> np.ndarray:
    """States whose components 4 and 11 are on in thinking, all others alike in both."""
    states = rng.exponential(size=(rows, D)) * (rng.random((rows, D)) < rng.uniform(0.2, 0.4))
    for feature in PLANTED:
        states[:, feature] = thinking * rng.exponential(2.0, rows) * (rng.random(rows) < 0.3)
    return states


@pytest.fixture(scope="module")
def store(
    write_states: Callable[..., StateStore], tmp_path_factory: pytest.TempPathFactory
) -> StateStore:
    rng = np.random.default_rng(3)
    responses: list[Any] = []
    for question in range(30):
        for task, rows in (("q", 25), ("q_direct", 8)):
            states = planted(rng, task == "q", rows)
            responses.append((task, question, rng.integers(3, 9, rows).tolist(), {0: states}))
    responses.append(("q", 99, [3, 4], {0: np.full((2, D), 100.0)}))  # answered in one way only
    return write_states(tmp_path_factory.mktemp("planted"), responses)


@pytest.fixture
def identity(standard_sae: Callable[..., LoadedSae]) -> LoadedSae:
    """An SAE whose features are the components."""
    return standard_sae(torch.eye(D))


def test_pairs(store: StateStore) -> None:
    pairs = pair_tasks(store, None, None, 0)
    assert (pairs.thinking, pairs.direct) == ("q", "q_direct")
    assert (len(pairs.chosen_on), len(pairs.held)) == (15, 15)
    assert not set(pairs.chosen_on) & set(pairs.held)
    assert "question-099" not in {*pairs.chosen_on, *pairs.held}
    assert pair_tasks(store, None, None, 1).held != pairs.held
    with pytest.raises(ConfigError, match="did you mean 'q_direct'"):
        pair_tasks(store, "q", "q_dirct", 0)
    with pytest.raises(ConfigError, match="--thinking"):
        pair_tasks(store, None, "q_direct", 0)


@pytest.mark.parametrize("at_once", [1, 40, 10_000])
def test_contrast_against_the_definition(
    store: StateStore, identity: LoadedSae, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(LoadedSae, "rows_at_once", property(lambda self: at_once))
    pairs = pair_tasks(store, None, None, 0)
    found = contrast(store, identity, pairs)
    differences, thinking = [], []
    for question in pairs.chosen_on:
        means = []
        for task in ("q", "q_direct"):
            rows = store.rows_of(store.responses(task=task, questions=[question]))
            states = store.take(0, rows)
            means.append(states.mean(0))
            thinking += [states] if task == "q" else []
        differences.append((means[0] - means[1]).double().numpy())
    table = np.array(differences)
    np.testing.assert_allclose(found.difference, table.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.effect, table.mean(0) / table.std(0, ddof=1), rtol=1e-4)
    fired = torch.cat(thinking).gt(0).double().mean(0)
    np.testing.assert_allclose(found.frequency, fired, rtol=1e-6)


def test_planted_features_are_found_and_replicate(
    store: StateStore, identity: LoadedSae, tmp_path: Path
) -> None:
    pairs = pair_tasks(store, None, None, 0)
    options = FeatureOptions(count=2, draws=3)
    features = choose_features(store, [identity], pairs, options)
    assert set(features.layers[0].selected) == set(PLANTED)
    table = score_table(store, [identity], features)
    own = table[table["kind"] == "reasoning"]
    assert own["replicates"].all()
    assert (own["effect_low"] > 0).all()
    assert (own["direct"] == 0).all()
    random = table[table["kind"] == "random"]
    assert len(random) == 6
    assert not set(random["feature"]) & set(PLANTED)
    assert random["replicates"].sum() == 0
    features.write(tmp_path / FILE)
    again = read_features(tmp_path)
    assert again.pairs == features.pairs
    assert again.of(identity).all == features.layers[0].all
    with pytest.raises(ConfigError, match="not of toy"):
        again.of(replace(identity, layer=5))
    with pytest.raises(ConfigError, match="sae features"):
        read_features(tmp_path / "nothing")


def test_held_questions_do_not_change_what_is_chosen(
    store: StateStore, identity: LoadedSae, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pair_tasks(store, None, None, 0)
    seen: list[np.ndarray] = []
    take = StateStore.take

    def watched(self: StateStore, layer: int, rows: np.ndarray) -> Any:
        seen.append(rows)
        return take(self, layer, rows)

    monkeypatch.setattr(StateStore, "take", watched)
    choose_features(store, [identity], pairs, FeatureOptions(count=2, draws=2))
    held = store.rows_of(store.responses(questions=pairs.held))
    assert not set(np.concatenate(seen)) & set(held)


def test_scores_against_scipy_and_the_definition(store: StateStore, identity: LoadedSae) -> None:
    from scipy.stats import t, ttest_rel

    pairs = pair_tasks(store, None, None, 0)
    means = held_means(store, identity, pairs, [4, 7, 20])
    found = score(means)
    np.testing.assert_allclose(found.p, ttest_rel(means.thinking, means.direct).pvalue)
    difference = means.thinking - means.direct
    np.testing.assert_allclose(found.difference, difference.mean(0))
    np.testing.assert_allclose(found.effect, difference.mean(0) / difference.std(0, ddof=1))
    known = ttest_rel(means.thinking, means.direct).confidence_interval()
    np.testing.assert_allclose(found.difference_low, known.low)
    np.testing.assert_allclose(found.difference_high, known.high)
    n = len(difference)
    drawn = difference[np.random.default_rng(1).integers(0, n, (4000, n))]
    spread = (drawn.mean(axis=1) / drawn.std(axis=1, ddof=1)).std(axis=0)
    width = (found.effect_high - found.effect_low) / (2 * t.ppf(0.975, n - 1))
    np.testing.assert_allclose(width, spread, rtol=0.35)


def test_a_feature_that_never_fires_has_no_effect() -> None:
    nothing = np.zeros((5, 1))
    found = score(HeldMeans((0,), np.arange(5), nothing, nothing))
    assert (found.effect, found.difference) == (0, 0)
    assert np.isnan(found.p)


def test_more_features_than_differ(store: StateStore, identity: LoadedSae) -> None:
    found = contrast(store, identity, pair_tasks(store, None, None, 0))
    with pytest.raises(ConfigError, match="pass a smaller --features"):
        select(found, D)


@given(
    st.lists(st.floats(0.001, 1), min_size=20, max_size=40),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 9),
)
def test_matches_are_unused_and_nearest(
    frequency: list[float], count: int, draws: int, seed: int
) -> None:
    selected = list(range(count))
    found = matched_features(np.array(frequency), selected, draws, seed)
    assert found.shape == (draws, count)
    flat = found.ravel().tolist()
    assert len(set(flat)) == len(flat)
    assert not set(flat) & set(selected)
    # no feature left over is nearer than the match that was made last
    left = [i for i in range(count, len(frequency)) if i not in flat]
    for turn in selected:
        worst = max(abs(np.log(frequency[i] / frequency[turn])) for i in found[:, turn])
        nearer = [i for i in left if abs(np.log(frequency[i] / frequency[turn])) < worst - 1e-9]
        assert not nearer


def test_too_few_to_match() -> None:
    with pytest.raises(ConfigError, match=r"4 random features are needed .* 3 others"):
        matched_features(np.array([0.5, 0.5, 0.1, 0.1, 0.1, 0.0]), [0, 1], 2, 0)
