"""The theorem where it holds exactly, where each assumption fails, and on noise by definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from l2_harness.analysis.sae.feature_sets import FeatureSet, LayerFeatures
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import Pairs
from l2_harness.analysis.sae.theorem import PAIRS, TheoremAtLayer, draw_pairs, measure_theorem
from l2_harness.analysis.sae.theorem_section import (
    assumption_table,
    statement_table,
    theorem_findings,
    theorem_section,
)
from l2_harness.analysis.states.store import StateStore

D, QUESTIONS = 32, 12
SELECTED, RANDOM = (3, 4, 5, 6), np.array([[10, 11, 12, 13], [20, 21, 22, 23]])
HELD = tuple(f"question-{n:03d}" for n in range(QUESTIONS))


def feature_set() -> FeatureSet:
    own = LayerFeatures(0, "toy", D, SELECTED, RANDOM, np.ones(4), np.ones((2, 4)), ())
    return FeatureSet(Pairs("t", "t_direct", 0, HELD, HELD), "difference", (own,))


def base() -> np.ndarray:
    """Along the axes from 15 on, which the reasoning features don't touch."""
    found = np.zeros(D)
    found[15:] = 2.0
    return found


@pytest.fixture
def measured(
    tmp_path: Path,
    write_states: Callable[..., StateStore],
    standard_sae: Callable[..., LoadedSae],
) -> Callable[..., TheoremAtLayer]:
    """``measured(thinking, direct, weights)``: of states (q, rows, d) of each question."""

    def measure(thinking: Any, direct: Any, weights: Any = None) -> TheoremAtLayer:
        responses = [
            (task, n, list(range(len(states[n]))), {0: states[n]})
            for task, states in (("t", thinking), ("t_direct", direct))
            for n in range(QUESTIONS)
        ]
        store = write_states(tmp_path, responses)
        own = torch.eye(D) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
        sae = standard_sae(own)
        sae.sae.W_dec.data = own.T.clone()
        return measure_theorem(store, [sae], feature_set())[0]

    return measure


def exact(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thinking and direct states, two equal rows each, and what (n, k) thinking adds in a pair."""
    amounts = rng.uniform(0.5, 3.0, (QUESTIONS, len(SELECTED)))
    direct = np.tile(base(), (QUESTIONS, 2, 1))
    thinking = direct.copy()
    thinking[..., SELECTED] += amounts[:, None]
    return thinking, direct, amounts.repeat(PAIRS, axis=0)


def test_exact_assumptions(measured: Callable[..., TheoremAtLayer]) -> None:
    thinking, direct, amounts = exact(np.random.default_rng(0))
    found = measured(thinking, direct)
    assert found.growth == pytest.approx(amounts.sum(1), rel=1e-5)
    assert np.sqrt(found.squares) == pytest.approx(np.linalg.norm(amounts, axis=1), rel=1e-5)
    assert found.outside(found.ideal) == (0, 0)
    ratios = amounts.sum(1) / np.linalg.norm(amounts, axis=1)
    row = statement_table([found]).iloc[0]
    assert (row["needed_low"], row["needed_high"]) == pytest.approx(
        (ratios.min(), ratios.max()), rel=1e-5
    )
    assumed = assumption_table([found]).iloc[0]
    assert assumed["angle"] == pytest.approx(90, abs=1e-3)
    assert (assumed["sigma_min"], assumed["sigma_max"]) == pytest.approx((1, 1))
    assert assumed["split"] == pytest.approx(1)
    for name in ("largest_cosine", "coherence", "rows_unexplained", "shrinking"):
        assert assumed[name] == pytest.approx(0, abs=1e-6), name
    assert assumed["change_unexplained"] == pytest.approx(0, abs=1e-5)
    first = theorem_findings([found])[0]
    assert first.startswith("Of 240 pairs of states at layer 0 the statement holds for 100 %")


def test_thinking_that_shrinks_the_base_has_no_bound(
    measured: Callable[..., TheoremAtLayer],
) -> None:
    """Assumption 3: r against h₀."""
    thinking, direct, _ = exact(np.random.default_rng(1))
    thinking[:6, :, 15:] -= 1.9
    found = measured(thinking, direct)
    row = statement_table([found]).iloc[0]
    assert row["undefined"] == (found.squares <= 0).sum() == 6 * PAIRS
    assert assumption_table([found]).iloc[0]["angle_highest"] > 120
    assert "and of 50 % it says nothing" in theorem_findings([found])[0]


def test_growth_of_the_base_breaks_the_lower_bound(measured: Callable[..., TheoremAtLayer]) -> None:
    """Assumptions 3 and 4: what thinking adds lies along h₀, and other features have it."""
    thinking, direct, _ = exact(np.random.default_rng(2))
    thinking[..., 15:] += 5.0
    found = measured(thinking, direct)
    below, above = found.outside(found.ideal)
    assert (below, above) == (QUESTIONS * PAIRS, 0)
    assumed = assumption_table([found]).iloc[0]
    assert assumed["split"] < 0.2
    assert assumed["angle"] < 20
    assert statement_table([found]).iloc[0]["needed_low"] < 1


def test_against_the_definition(measured: Callable[..., TheoremAtLayer], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    thinking = rng.normal(1.0, 1.0, (QUESTIONS, 7, D))
    direct = rng.normal(0.6, 1.0, (QUESTIONS, 4, D))
    weights = rng.normal(size=(D, D)).astype(np.float32)
    found = measured(thinking, direct, weights)
    store = StateStore(tmp_path)
    rows = draw_pairs(store, feature_set().pairs)
    own, base = (store.take(0, each).double().numpy() for each in rows)
    asked = np.repeat(store.index["question"].to_numpy(), store.index["rows"].to_numpy())
    assert asked[rows[0]].tolist() == asked[rows[1]].tolist() == np.repeat(HELD, PAIRS).tolist()
    decoder = weights.T
    lengths = np.linalg.norm(decoder, axis=1)
    units = decoder / lengths[:, None]

    def acts(state: np.ndarray) -> np.ndarray:
        return np.maximum(state @ weights, 0) * lengths

    for n, (h, h0) in enumerate(zip(own, base, strict=True)):
        change = acts(h) - acts(h0)
        assert found.growth[n] == pytest.approx(change[list(SELECTED)].sum(), rel=1e-3, abs=1e-2)
        assert found.random[1, n] == pytest.approx(change[RANDOM[1]].sum(), rel=1e-3, abs=1e-2)
        assert found.squares[n] == pytest.approx(h @ h - h0 @ h0, rel=1e-3, abs=1e-3)
        r = h - h0
        cosine = r @ h0 / np.linalg.norm(r) / np.linalg.norm(h0)
        assert found.cosine[n] == pytest.approx(cosine, abs=1e-4)
        left = np.linalg.norm(r - change @ units) / np.linalg.norm(r)
        assert found.unexplained[n] == pytest.approx(left, rel=1e-3)
        share = np.abs(change[list(SELECTED)]).sum() / np.abs(change).sum()
        assert found.split[n] == pytest.approx(share, rel=1e-3)
    chosen = units[list(SELECTED)]
    singular = np.sqrt(np.linalg.eigvalsh(chosen @ chosen.T))
    assert found.singular == pytest.approx((singular[0], singular[-1]), rel=1e-5)
    cosines = np.abs(chosen @ chosen.T - np.eye(4))
    assert found.largest_cosine == pytest.approx(cosines.max(), rel=1e-5)
    every = units @ units.T
    off = every[~np.eye(D, dtype=bool)]
    assert found.coherence[0] == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-5)
    low, high = found.widened
    ratios = found.ratios(found.growth)
    assert found.outside((low, high)) == ((ratios < low).sum(), (ratios > high).sum())


def test_few_questions_say_nothing(measured: Callable[..., TheoremAtLayer]) -> None:
    from dataclasses import replace

    thinking, direct, _ = exact(np.random.default_rng(0))
    found = measured(thinking, direct)
    few = replace(found, questions=3)
    assert theorem_findings([few]) == [
        "Nothing is said of the theorem: at least 10 questions are needed, and there are 3."
    ]
    assert theorem_section([found], {}).findings
