from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from l2_harness.analysis.norms.association import OutcomeVariable, Scope
from l2_harness.analysis.norms.held_out import choose_held_out

QUESTIONS, SAMPLES = 40, 3
QUESTION = np.repeat(np.arange(QUESTIONS), SAMPLES)
N = len(QUESTION)


def test_the_surest_is_chosen_not_the_largest() -> None:
    """One variable moves with every answer a little, another in four questions wholly."""
    rng = np.random.default_rng(0)
    question = np.repeat(np.arange(200), 4)
    y = np.tile([0.0, 1, 0, 1], 200)
    x = rng.normal(size=(800, 2)) + [0.8, 0] * y[:, None]
    x[:, 1] = np.where(question % 50 == 0, 10 * y + x[:, 1], 0.0)
    outcome = OutcomeVariable("correct", y, {"none": ()})
    (found,) = choose_held_out(
        x, outcome, Scope("within question", question), np.empty((800, 0)), question, repeats=1
    )
    assert found.column == 0
    assert (found.choosing, found.held_out.questions) == (100, 100)
    alone = choose_held_out(
        x[:, 1:], outcome, Scope("w", question), np.empty((800, 0)), question, repeats=1
    )
    assert alone == [] or alone[0].choosing + alone[0].held_out.questions == 4


def test_what_is_controlled_for_is_named() -> None:
    rng = np.random.default_rng(0)
    x, covariate = rng.normal(size=(N, 3)), rng.normal(size=(N, 1))
    y = (covariate[:, 0] + rng.normal(size=N) > 0).astype(float)
    outcome = OutcomeVariable("correct", y, {"none": (), "all": ("length",)})
    found = choose_held_out(
        x, outcome, Scope("pooled"), covariate, QUESTION, names=["length"], repeats=1
    )
    assert [(one.control, one.controlled_for) for one in found] == [
        ("none", ()),
        ("all", ("length",)),
    ]


def test_of_noise_the_choice_overstates_and_the_held_out_figure_does_not() -> None:
    """60 variables that say nothing: the best is far from zero where it was chosen only."""
    covers, in_sample, held_out, overstated = 0, [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        outcome = OutcomeVariable("correct", (rng.random(N) < 0.5).astype(float), {"none": ()})
        (found,) = choose_held_out(
            *(rng.normal(size=(N, 60)), outcome, Scope("pooled"), np.empty((N, 0)), QUESTION),
            repeats=2,
            resamples=200,
            seed=seed,
        )
        assert found.choosing == 20
        assert found.held_out.questions == 20
        covers += found.held_out.low <= 0 <= found.held_out.high
        in_sample.append(abs(found.in_sample))
        held_out.append(np.sign(found.in_sample) * found.held_out.value)
        overstated.append(found.overstated)
    assert np.mean(in_sample) > 0.25
    assert abs(np.mean(held_out)) < 4 * np.std(held_out) / np.sqrt(40)
    assert np.mean(overstated) == pytest.approx(np.mean(in_sample), abs=0.05)
    assert covers >= stats.binom.ppf(0.001, 40, 0.93)


def test_a_real_variable_is_found_and_stays() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 30))
    correct = (x[:, 17] + 0.5 * rng.normal(size=N) > 0).astype(float)
    (found,) = choose_held_out(
        *(x, OutcomeVariable("correct", correct, {"length": ("length",)}), Scope("pooled")),
        *(rng.normal(size=(N, 1)), QUESTION),
        names=["length"],
        resamples=200,
    )
    assert (found.column, found.control, found.splits) == (17, "length", 11)
    assert found.held_out.excludes_zero


def test_too_few_questions_choose_nothing() -> None:
    outcome = OutcomeVariable("correct", np.array([0.0, 1, 0]), {"none": ()})
    three = np.arange(3)
    x, none = np.zeros((3, 2)), np.empty((3, 0))
    assert choose_held_out(x, outcome, Scope("pooled"), none, three) == []
