from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from l2_harness.statistics.bootstrap import bootstrap, cluster_weights
from l2_harness.statistics.correlation import (
    correlation_interval,
    mid_ranks,
    partial_spearman,
    rank_correlation,
    spearman,
)


def _draw(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, a binary y, and a length with many ties."""
    rng = np.random.default_rng(seed)
    length = rng.integers(5, 25, n).astype(float)
    x = rng.normal(size=n) + 0.2 * length
    y = (rng.random(n) < 0.5).astype(float)
    return x, y, length


def _slow_partial(x: np.ndarray, y: np.ndarray, covariates: list[np.ndarray]) -> float:
    """From the definition: rank, regress with an intercept, correlate what is left."""
    design = sm.add_constant(np.column_stack([stats.rankdata(c) for c in covariates]))
    left = [sm.OLS(stats.rankdata(v), design).fit().resid for v in (x, y)]
    return float(stats.pearsonr(*left).statistic)


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_scipys(seed: int) -> None:
    x, y, _ = _draw(seed)
    expected = stats.spearmanr(x, y).statistic
    assert spearman(x, y) == pytest.approx(expected, abs=1e-12)
    assert partial_spearman(x, y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_partial_is_the_correlation_of_the_residuals(seed: int) -> None:
    x, y, length = _draw(seed)
    other = np.random.default_rng(seed + 100).normal(size=len(x))
    for covariates in ([length], [length, other]):
        expected = _slow_partial(x, y, covariates)
        assert partial_spearman(x, y, covariates) == pytest.approx(expected, abs=1e-10)


def test_ranks_do_not_tell_a_length_from_its_logarithm() -> None:
    x, y, length = _draw(1)
    assert partial_spearman(x, y, [length]) == partial_spearman(x, y, [np.log(length)])


def test_one_covariate_agrees_with_the_closed_formula() -> None:
    x, y, length = _draw(2)
    xy, xz, yz = (stats.spearmanr(*p).statistic for p in ((x, y), (x, length), (y, length)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(x, y, [length]) == pytest.approx(expected, abs=1e-12)


def test_strata_are_ranked_apart() -> None:
    x, y, _ = _draw(3)
    strata = np.arange(len(x)) % 3
    ranks = []
    for values in (x, y):
        scaled = np.empty(len(x))
        for label in range(3):
            inside = strata == label
            scaled[inside] = stats.rankdata(values[inside]) / inside.sum()
            scaled[inside] -= scaled[inside].mean()
        ranks.append(scaled)
    expected = stats.pearsonr(*ranks).statistic
    assert partial_spearman(x, y, strata=strata) == pytest.approx(expected, abs=1e-12)


def test_a_stratum_without_variation_is_left_out() -> None:
    x, y, _ = _draw(4)
    strata = np.array(["mixed"] * 40 + ["never right"] * 40)
    y[40:] = 0
    within = partial_spearman(x, y, strata=strata)
    assert within == pytest.approx(spearman(x[:40], y[:40]), abs=1e-12)
    interval = correlation_interval(x, y, np.arange(80), strata=strata, resamples=50)
    assert interval.responses == 40
    assert interval.value == within


def test_strata_remove_what_only_tells_them_apart() -> None:
    rng = np.random.default_rng(5)
    strata = rng.integers(0, 4, 600)
    x = rng.normal(size=600) + 2 * strata
    y = (rng.random(600) < 0.15 + 0.2 * strata).astype(float)
    questions = np.arange(600)
    assert correlation_interval(x, y, questions, resamples=300).low > 0.2
    within = correlation_interval(x, y, questions, strata=strata, resamples=300)
    assert within.low < 0 < within.high


def test_weighted_ranks_are_those_of_the_repeated_sample() -> None:
    rng = np.random.default_rng(6)
    values = rng.integers(0, 6, 30).astype(float)
    weights = cluster_weights(np.arange(30), 20, rng)
    for row, ranks in zip(weights, mid_ranks(weights, values), strict=True):
        repeated = np.repeat(np.arange(30), row.astype(int))
        expected = stats.rankdata(values[repeated])
        np.testing.assert_array_equal(ranks[repeated], expected)


def test_weighted_correlation_is_that_of_the_repeated_sample() -> None:
    x, y, length = _draw(7)
    weights = cluster_weights(np.arange(len(x)), 20, np.random.default_rng(0))
    weighted = rank_correlation(weights, x, y, [length])
    for row, value in zip(weights, weighted, strict=True):
        repeated = np.repeat(np.arange(len(x)), row.astype(int))
        expected = _slow_partial(x[repeated], y[repeated], [length[repeated]])
        assert value == pytest.approx(expected, abs=1e-9)


def test_a_resample_holds_whole_questions() -> None:
    questions = np.array(["a", "b", "a", "c", "b", "b"])
    weights = cluster_weights(questions, 200, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_interval_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(8).normal(size=200)

    def mean(weights: np.ndarray) -> np.ndarray:
        return weights @ values / weights.sum(axis=1)

    _, low, high = bootstrap(mean, np.arange(200), resamples=4000)
    other = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", random_state=1
    ).confidence_interval
    width = other.high - other.low
    assert low == pytest.approx(other.low, abs=0.05 * width)
    assert high == pytest.approx(other.high, abs=0.05 * width)


def test_repeated_questions_widen_the_interval() -> None:
    rng = np.random.default_rng(9)
    x, y = np.repeat(rng.normal(size=(2, 60)), 8, axis=1)
    naive = correlation_interval(x, y, np.arange(480), resamples=500)
    clustered = correlation_interval(x, y, np.repeat(np.arange(60), 8), resamples=500)
    assert clustered.value == naive.value
    assert (clustered.high - clustered.low) > 2 * (naive.high - naive.low)
    assert (clustered.responses, clustered.questions) == (480, 60)


def test_seed_decides_the_interval() -> None:
    x, y, _ = _draw(10)
    run = partial(correlation_interval, x, y, np.arange(len(x)), resamples=200)
    assert run(seed=1) == run(seed=1)
    assert run(seed=1) != run(seed=2)


def _planted(seed: int, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length makes a norm large and an answer wrong; correctness adds ``effect`` to the norm."""
    rng = np.random.default_rng(seed)
    length = np.exp(rng.normal(4.0, 0.5, 200))
    standard = (np.log(length) - 4.0) / 0.5
    y = (rng.random(200) < 1 / (1 + np.exp(standard))).astype(float)
    x = standard + rng.normal(size=200) + effect * y
    return x, y, length


def test_confounding_by_length_is_seen_through() -> None:
    covered, raw_misled = 0, 0
    for seed in range(100):
        x, y, length = _planted(seed, effect=0.0)
        raw = correlation_interval(x, y, np.arange(200), resamples=400)
        controlled = correlation_interval(x, y, np.arange(200), [length], resamples=400)
        raw_misled += raw.excludes_zero
        covered += not controlled.excludes_zero
    assert raw_misled > 80
    # 95 expected; 100 fair draws stay below 88 once in 400.
    assert covered >= 88


def test_a_real_effect_is_found_behind_the_length() -> None:
    found = 0
    for seed in range(20):
        x, y, length = _planted(seed, effect=0.8)
        found += correlation_interval(x, y, np.arange(200), [length], resamples=400).low > 0
    assert found >= 18


def test_undefined_is_nan_and_claims_nothing() -> None:
    x, y, length = _draw(11)
    questions = np.arange(len(x))
    for result in (
        correlation_interval(x, np.ones(len(x)), questions, resamples=50),
        correlation_interval(length, y, questions, [length], resamples=50),
        correlation_interval(x[:1], y[:1], questions[:1], resamples=50),
    ):
        assert np.isnan(result.value)
        assert not result.known
        assert not result.excludes_zero
        assert str(result) == "not defined"
    assert np.isnan(spearman(x, np.ones(len(x))))


def test_one_question_has_no_interval() -> None:
    x, y, _ = _draw(12)
    result = correlation_interval(x, y, np.zeros(len(x)), resamples=50)
    assert np.isfinite(result.value)
    assert not result.known
    assert "no interval" in str(result)
