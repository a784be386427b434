from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, multinomial, norm, t

from l2_harness.statistics.intervals import (
    mean_of_tasks,
    percentile_interval,
    resampled_means,
    tango,
    wilson,
)


def slow_tango(better: int, worse: int, n: int, level: float) -> tuple[float, float]:
    """From the definition: the likelihood of the cells, maximised under each difference."""

    def score(difference: float) -> float:
        def minus_log_likelihood(q: float) -> float:
            cells = np.array([q + difference, q, 1 - 2 * q - difference])
            counts = np.array([better, worse, n - better - worse])
            return -float((counts * np.log(np.maximum(cells, 1e-300))).sum())

        low, high = max(0.0, -difference), (1 - difference) / 2
        q = minimize_scalar(
            minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
        ).x
        return (better - worse - n * difference) / np.sqrt(n * (2 * q + difference - difference**2))

    inside = [
        d for d in np.linspace(-0.999, 0.999, 1333) if abs(score(d)) <= norm.ppf((1 + level) / 2)
    ]
    return min(inside), max(inside)


@pytest.mark.parametrize(
    ("better", "worse", "n"), [(9, 4, 44), (1, 0, 30), (0, 0, 25), (12, 2, 50), (7, 0, 20)]
)
def test_tango_is_its_definition(better: int, worse: int, n: int) -> None:
    low, high = tango(better, worse, n, 0.98)
    assert (low[0], high[0]) == pytest.approx(slow_tango(better, worse, n, 0.98), abs=2e-3)


def test_tango_at_none_that_differ_is_the_closed_form() -> None:
    """b = c = 0: the ends are ± z² / (n + z²)."""
    z = norm.ppf(0.975)
    low, high = tango(0, 0, 30, 0.95)
    assert high[0] == pytest.approx(z**2 / (30 + z**2))
    assert low[0] == pytest.approx(-high[0])


def test_tango_turned_round_is_mirrored() -> None:
    one, other = tango([3, 8], [5, 0], 40, 0.95), tango([5, 0], [3, 8], 40, 0.95)
    assert one[0] == pytest.approx(-other[1])
    assert one[1] == pytest.approx(-other[0])


@pytest.mark.parametrize(
    ("n", "better", "worse"),
    [(30, 0.23, 0.08), (120, 0.23, 0.08), (30, 0.1, 0.1), (60, 0.08, 0.02), (200, 0.05, 0.01)],
)
def test_tango_covers_the_true_difference(n: int, better: float, worse: float) -> None:
    """Exactly: every outcome of n questions by its chance."""
    only_first, only_second = (x.ravel() for x in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    possible = only_first + only_second <= n
    only_first, only_second = only_first[possible], only_second[possible]
    counts = np.stack([only_first, only_second, n - only_first - only_second], axis=1)
    chance = multinomial.pmf(counts, n, [better, worse, 1 - better - worse])
    low, high = tango(only_first, only_second, n, 0.95)
    covered = (low <= better - worse) & (better - worse <= high)
    assert 0.935 < chance[covered].sum() < 0.965


def test_wilson_is_scipys() -> None:
    interval = binomtest(7, 30).proportion_ci(0.95, method="wilson")
    assert wilson(7, 30, 0.95) == pytest.approx((interval.low, interval.high))


def test_the_mean_of_tasks_by_hand() -> None:
    values, lows, highs = (
        np.array([[0.2], [0.6]]),
        np.array([[0.1], [0.4]]),
        np.array([[0.3], [0.9]]),
    )
    low, high = mean_of_tasks(values, lows, highs)
    assert low[0] == pytest.approx(0.4 - np.sqrt(0.1**2 + 0.2**2) / 2)
    assert high[0] == pytest.approx(0.4 + np.sqrt(0.1**2 + 0.3**2) / 2)
    alone = mean_of_tasks(values[:1], lows[:1], highs[:1])
    assert (alone[0][0], alone[1][0]) == pytest.approx((0.1, 0.3))


def test_the_percentile_interval_of_normal_data_is_students() -> None:
    """Expanded, it has a t interval's length where the plain one has (n − 1)/n of a normal's."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 1))
    drawn = resampled_means(values, np.zeros(12, dtype=int), 100_000, seed=0)
    low, high = percentile_interval(drawn, 0.9, 11)
    half = t.ppf(0.95, 11) * values.std(ddof=1) / np.sqrt(12)
    assert high[0] - low[0] == pytest.approx(2 * half, rel=0.06)


def test_tasks_are_resampled_on_their_own_and_count_the_same() -> None:
    values = np.array([[0.0]] * 5 + [[1.0]] * 50)
    drawn = resampled_means(values, np.array([0] * 5 + [1] * 50), 30, seed=0)
    assert drawn == pytest.approx(np.full((30, 1), 0.5))


def test_levels_of_columns_may_differ() -> None:
    drawn = np.random.default_rng(0).normal(size=(5000, 2))
    low, high = percentile_interval(drawn, np.array([0.8, 0.99]), 1000)
    assert (low[0], high[0]) == pytest.approx((-1.28, 1.28), abs=0.1)
    assert (low[1], high[1]) == pytest.approx((-2.58, 2.58), abs=0.25)
