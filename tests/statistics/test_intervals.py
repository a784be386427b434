from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, multinomial, norm, t
from statsmodels.stats.proportion import proportion_confint

from l2_harness.statistics.design import Design
from l2_harness.statistics.intervals import (
    difference_ends,
    mean_estimates,
    quantile,
    student,
    tango,
    wilson,
)

Z = norm.ppf(0.975)


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
        d for d in np.linspace(-0.999, 0.999, 667) if abs(score(d)) <= norm.ppf((1 + level) / 2)
    ]
    return min(inside), max(inside)


@pytest.mark.parametrize(
    ("better", "worse", "n"), [(9, 4, 44), (1, 0, 30), (0, 0, 25), (12, 2, 50), (7, 0, 20)]
)
def test_tango_is_its_definition(better: int, worse: int, n: int) -> None:
    low, high = tango(better, worse, n, norm.ppf(0.99))
    assert (low[0], high[0]) == pytest.approx(slow_tango(better, worse, n, 0.98), abs=4e-3)


def test_tango_at_none_that_differ_is_the_closed_form() -> None:
    """b = c = 0: the ends are ± z² / (n + z²)."""
    low, high = tango(0, 0, 30, Z)
    assert high[0] == pytest.approx(Z**2 / (30 + Z**2))
    assert low[0] == pytest.approx(-high[0])


def test_tango_turned_round_is_mirrored() -> None:
    one, other = tango([3, 8], [5, 0], 40, Z), tango([5, 0], [3, 8], 40, Z)
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
    low, high = tango(only_first, only_second, n, Z)
    covered = (low <= better - worse) & (better - worse <= high)
    assert 0.935 < chance[covered].sum() < 0.965


def test_wilson_is_scipys_and_statsmodels() -> None:
    interval = binomtest(7, 30).proportion_ci(0.95, method="wilson")
    assert wilson(7 / 30, 30, Z) == pytest.approx((interval.low, interval.high))
    assert wilson(0.3, 50, norm.ppf(0.95)) == pytest.approx(
        proportion_confint(15, 50, alpha=0.1, method="wilson")
    )


def test_student_is_scipys() -> None:
    values = np.random.default_rng(0).normal(size=(12, 2))
    error = values.std(axis=0, ddof=1) / np.sqrt(12)
    low, high = student(values.mean(axis=0), error, 11, 0.9)
    for column in range(2):
        known = t.interval(0.9, 11, values[:, column].mean(), error[column])
        assert (low[column], high[column]) == pytest.approx(known)
    assert np.isnan(quantile(0))
    assert quantile(np.inf) == pytest.approx(Z)


class TestDifferences:
    def test_of_single_answers_is_tangos_with_students_quantile(self) -> None:
        values = np.array([1.0] * 9 + [-1.0] * 4 + [0.0] * 31)[:, None]
        found = difference_ends(values, Design.of(44), 0.95)
        expected = tango(9, 4, 44, t.ppf(0.975, 43))
        np.testing.assert_allclose(found, expected)

    def test_of_averages_is_that_of_as_many_single_answers(self) -> None:
        """By hand: n_eff = (c − m²) / v."""
        values = np.array([0.5, 0.25, -0.25, 0.5, 0.0, 0.0, 0.75, -0.5, 0.25, 0.0])
        mean, size = values.mean(), np.abs(values).mean()
        n = (size - mean**2) / (values.var() / 10)
        expected = tango((size + mean) / 2 * n, (size - mean) / 2 * n, n, t.ppf(0.975, 9))
        found = difference_ends(values[:, None], Design.of(10), 0.95)
        np.testing.assert_allclose(found, expected)
        assert n > 10

    def test_of_many_averages_is_students(self) -> None:
        values = np.random.default_rng(0).normal(0.05, 0.1, (4000, 1)).clip(-1, 1)
        bounded, free = (
            difference_ends(values, Design.of(4000), 0.95, bounded=one) for one in (True, False)
        )
        assert bounded[0] == pytest.approx(free[0], abs=2e-4)
        assert bounded[1] == pytest.approx(free[1], abs=2e-4)

    def test_where_none_differ_there_is_room_for_what_was_not_seen(self) -> None:
        zero = np.zeros((30, 1))
        q = t.ppf(0.975, 29)
        _, high = difference_ends(zero, Design.of(30), 0.95)
        assert high[0] == pytest.approx(q**2 / (30 + q**2))
        assert np.isnan(difference_ends(zero, Design.of(30), 0.95, bounded=False)[0][0])


class TestDesign:
    def test_variance_of_clusters_is_statsmodels(self) -> None:
        rng = np.random.default_rng(0)
        cluster = rng.integers(0, 12, 60)
        values = rng.normal(size=60) + rng.normal(size=12)[cluster]
        found, freedom = Design.of(60, clusters=cluster).variances(values[:, None])
        fit = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": cluster})
        # statsmodels has G/(G − 1) · (n − 1)/(n − 1)
        assert found[0] == pytest.approx(fit.bse[0] ** 2 * 59 / 60)
        assert freedom[0] == 11

    def test_variance_of_tasks_is_that_of_their_own_means(self) -> None:
        rng = np.random.default_rng(1)
        task = np.repeat([0, 1, 2], [5, 20, 50])
        values = rng.normal(size=(75, 1)) * np.array([1.0, 2, 3])[task, None]
        design = Design.of(75, strata=task)
        parts = [values[task == one, 0] for one in range(3)]
        assert design.means(values)[0] == pytest.approx(np.mean([p.mean() for p in parts]))
        own = np.array([p.var(ddof=1) / len(p) for p in parts]) / 9 * 74 / 75
        found, freedom = design.variances(values)
        assert found[0] == pytest.approx(own.sum())
        sizes = np.array([4, 19, 49])
        assert freedom[0] == pytest.approx(own.sum() ** 2 / (own**2 / sizes).sum())

    def test_labels_may_be_anything(self) -> None:
        values = np.random.default_rng(2).normal(size=(6, 1))
        one = Design.of(6, ["b", "b", "a", "a", "a", "a"], [9, 9, 9, 9, 4, 4])
        other = Design.of(6, [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 2, 2])
        assert one.variances(values)[0] == pytest.approx(other.variances(values)[0])
        assert not one.is_simple
        assert Design.of(3).is_simple

    def test_equal_clusters_are_as_sure_as_there_are_of_them(self) -> None:
        assert Design.of(20, clusters=np.arange(20) // 4).kish == pytest.approx(5)
        assert Design.of(20).kish == pytest.approx(20)


def test_means_of_single_answers_have_wilsons_interval() -> None:
    values = np.array([[1.0]] * 7 + [[0.0]] * 23)
    (score,) = mean_estimates(values, Design.of(30))
    known = binomtest(7, 30).proportion_ci(0.95, method="wilson")
    assert (score.low, score.high) == pytest.approx((known.low, known.high))


def test_means_of_averages_count_as_so_many_single_answers() -> None:
    values = np.random.default_rng(0).binomial(4, 0.7, (40, 1)) / 4
    (score,) = mean_estimates(values, Design.of(40))
    mean = values.mean()
    expected = wilson(mean, mean * (1 - mean) / (values.var() / 40), t.ppf(0.975, 39))
    assert (score.low, score.high) == pytest.approx(expected)
    (free,) = mean_estimates(10 * values, Design.of(40), bounded=False)
    half = t.ppf(0.975, 39) * 10 * values.std() / np.sqrt(40)
    assert (free.low, free.high) == pytest.approx((10 * mean - half, 10 * mean + half))


def test_one_question_has_a_difference_and_no_interval() -> None:
    low, high = difference_ends(np.ones((1, 1)), Design.of(1), 0.95)
    assert np.isnan([low, high]).all()
    (score,) = mean_estimates(np.ones((1, 1)), Design.of(1))
    assert score.known  # a single answer's share has Wilson's interval
    assert score.low < 0.3


def test_what_is_unknown_has_no_mean() -> None:
    (score,) = mean_estimates(np.array([[1.0], [np.nan]]), Design.of(2), bounded=False)
    assert not score.known
