from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from l2_harness.analysis.norms.association import Outcome, Scope
from l2_harness.analysis.norms.held_out import choose_held_out, coefficients
from l2_harness.statistics.correlation import partial_spearman

QUESTIONS, SAMPLES = 40, 3
QUESTION = np.repeat(np.arange(QUESTIONS), SAMPLES)
N = len(QUESTION)


def test_coefficients_are_partial_spearman_of_some_rows() -> None:
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(N, 3)), rng.normal(size=(N, 3))
    x[:, 2] = np.round(x[:, 2])
    rows = rng.random(N) < 0.6
    for labels in (None, QUESTION):
        found = coefficients(x, v, Scope("s", labels), rows)
        strata = None if labels is None else labels[rows]
        for column in range(3):
            expected = partial_spearman(x[rows, column], v[rows, 0], list(v[rows, 1:].T), strata)
            assert found[column] == pytest.approx(expected, abs=1e-9)


def test_of_noise_the_choice_overstates_and_the_held_out_figure_does_not() -> None:
    """60 variables that say nothing: the best is far from zero where it was chosen only."""
    covers, in_sample, held_out, overstated = 0, [], [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        outcome = Outcome("correct", (rng.random(N) < 0.5).astype(float), {})
        found = choose_held_out(
            *(rng.normal(size=(N, 60)), outcome, Scope("pooled"), np.empty((N, 0)), QUESTION),
            repeats=2,
            resamples=200,
            seed=seed,
        )
        assert found is not None
        assert found.choosing == 20
        assert found.held_out.questions == 20
        covers += found.held_out.low <= 0 <= found.held_out.high
        in_sample.append(abs(found.in_sample))
        held_out.append(np.sign(found.in_sample) * found.held_out.value)
        overstated.append(found.overstated)
    assert np.mean(in_sample) > 0.25
    assert abs(np.mean(held_out)) < 4 * np.std(held_out) / 10
    assert np.mean(overstated) == pytest.approx(np.mean(in_sample), abs=0.05)
    assert covers >= stats.binom.ppf(0.001, 100, 0.92)


def test_a_real_variable_is_found_and_stays() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 30))
    outcome = Outcome("correct", (x[:, 17] + 0.5 * rng.normal(size=N) > 0).astype(float), {})
    covariate = rng.normal(size=(N, 1))
    found = choose_held_out(
        x, outcome, Scope("pooled"), covariate, QUESTION, control="length", resamples=200
    )
    assert found is not None
    assert (found.column, found.control, found.splits) == (17, "length", 11)
    assert found.held_out.excludes_zero


def test_too_few_questions_choose_nothing() -> None:
    outcome = Outcome("correct", np.array([0.0, 1, 0]), {})
    three = np.arange(3)
    x, none = np.zeros((3, 2)), np.empty((3, 0))
    assert choose_held_out(x, outcome, Scope("pooled"), none, three) is None
