from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from l2_harness.statistics.ratios import RatioSums, linear_shifts, ratios


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


def added(parts: int, *sums: np.ndarray) -> RatioSums:
    found = RatioSums()
    for some in np.array_split(np.arange(len(sums[0])), parts):
        found.add(*(one[some] for one in sums))
    return found


@pytest.mark.parametrize("parts", [1, 7, 80])
def test_ratios_of_questions_given_some_at_a_time(parts: int) -> None:
    rng = np.random.default_rng(3)
    under = rng.integers(0, 3, (80, 4, 1)).astype(float)
    under[:30, 1], under[:, 3] = 0, 0  # begins late, and never
    over = under * rng.gamma(6, 1, (80, 4, 2))
    over[:, 2] = 5 * under[:, 2]  # always the same
    whole = over.sum(axis=1, keepdims=True), under.sum(axis=1, keepdims=True)
    found = added(parts, over, under, *whole)
    expected = ratios([over], [under]), ratios([over, whole[1]], [under, whole[0]])
    for one, other in zip((found.ratio(), found.relative()), expected, strict=True):
        for part in ("value", "low", "high", "p"):
            actual, wanted = getattr(one, part), getattr(other, part)
            np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-12, err_msg=part)
    np.testing.assert_allclose(found.over, over.sum(axis=0))
    np.testing.assert_array_equal(found.under, under.sum(axis=0))
    assert np.isnan(found.ratio().low[2]).all()


def test_a_ratio_to_itself_has_no_interval() -> None:
    rng = np.random.default_rng(4)
    over, under = rng.gamma(6, 1, (90, 1)), rng.gamma(6, 1, (90, 1))
    found = added(9, over, under, over, under).relative()
    assert found.value == pytest.approx(1)
    assert np.isnan(found.p).all()
