from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from l2_harness.statistics.ratios import linear_shifts, ratios


@pytest.fixture(scope="module")
def sums() -> tuple[np.ndarray, np.ndarray]:
    """(80, 2) what questions add to a sum, and (80, 1) how many responses they have."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 6, (80, 1)).astype(float)
    return counts * rng.gamma(6, 1, (80, 2)), counts


def resampled(over: np.ndarray, under: np.ndarray, runs: int = 4000) -> np.ndarray:
    """(runs, ...) ratios of resampled questions."""
    index = np.random.default_rng(1).integers(0, len(over), (runs, len(over)))
    return over[index].sum(axis=1) / under[index].sum(axis=1)


def test_a_mean_over_responses_is_that_of_resampled_questions(
    sums: tuple[np.ndarray, np.ndarray],
) -> None:
    over, under = sums
    found = ratios([over], [under])
    assert found.value == pytest.approx(over.sum(axis=0) / under.sum())
    drawn = np.log(resampled(over, under))
    half = stats.t.ppf(0.975, 79) * drawn.std(axis=0)
    np.testing.assert_allclose(np.log(found.high / found.value), half, rtol=0.04)
    np.testing.assert_allclose(np.log(found.value / found.low), half, rtol=0.04)


def test_a_ratio_of_ratios(sums: tuple[np.ndarray, np.ndarray]) -> None:
    (first, second), counts = sums[0].T, sums[1][:, 0]
    found = ratios([first, counts**2], [counts, second])
    assert found.value == pytest.approx(
        first.sum() * (counts**2).sum() / counts.sum() / second.sum()
    )
    error = np.log(found.high / found.value) / stats.t.ppf(0.975, 79)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(np.log(found.value)) / error, 79))
    same = ratios([first], [first])
    assert same.value == 1
    assert np.isnan(same.p)


def test_what_never_happens_has_a_rate_and_no_interval() -> None:
    found = ratios([np.zeros((9, 1))], [np.ones((9, 1))])
    assert found.value == 0
    assert np.isnan([found.low, found.high, found.p]).all()


def test_shifts_have_the_ratio_as_mean_and_its_variance(
    sums: tuple[np.ndarray, np.ndarray],
) -> None:
    over, under = sums[0] - 20.0, np.repeat(sums[1], 2, axis=1)
    shifts = linear_shifts(over, under)
    np.testing.assert_allclose(shifts.mean(axis=0), over.sum(axis=0) / under.sum(axis=0))
    error = shifts.std(axis=0) / np.sqrt(80)
    np.testing.assert_allclose(error, resampled(over, under).std(axis=0), rtol=0.05)
    assert np.isnan(linear_shifts(over, 0 * under)).all()
