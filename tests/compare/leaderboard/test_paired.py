from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from l2_harness.compare.leaderboard.options import Options
from l2_harness.statistics.paired import Paired, holm_levels
from l2_harness.statistics.significance import holm

OPTIONS = Options(resamples=2000, flips=5000)


def paired(values: np.ndarray, strata: np.ndarray | None = None) -> Paired:
    strata = np.zeros(len(values), dtype=np.int64) if strata is None else strata
    return Paired(values, strata, OPTIONS)


def binary(rng: np.random.Generator, questions: int, methods: int, gain: float = 0) -> np.ndarray:
    easy = rng.beta(1, 1, questions)[:, None]
    return (rng.random((questions, methods)) < easy + np.arange(methods) * gain).astype(float)


def to_first(methods: int) -> list[tuple[int, int]]:
    return [(i, 0) for i in range(1, methods)]


def test_holm_is_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for m in (1, 2, 7, 30):
        p = rng.random(m) ** 3
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_p_of_single_answers_is_statsmodels_mcnemar() -> None:
    values = binary(np.random.default_rng(1), 70, 4, gain=0.1)
    found = paired(values).differences(to_first(4))
    for i, difference in enumerate(found, start=1):
        table = [
            [int(((values[:, i] == a) & (values[:, 0] == b)).sum()) for b in (1, 0)] for a in (1, 0)
        ]
        assert difference.test == "mcnemar"
        assert difference.p == pytest.approx(mcnemar(table, exact=True).pvalue)
        assert difference.value == pytest.approx((values[:, i] - values[:, 0]).mean())
    assert [d.p_holm for d in found] == pytest.approx(list(holm([d.p for d in found])))


def test_p_of_averages_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(2)
    values = rng.binomial(4, 0.5, (14, 2)) / 4
    values[:, 1] += 0.1
    (found,) = paired(values).differences([(1, 0)])
    exact = permutation_test(
        (values[:, 1], values[:, 0]),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert found.test == "sign-flip"
    assert found.p == pytest.approx(exact.pvalue, abs=0.02)


def test_seeds_that_all_agree_are_single_answers() -> None:
    values = binary(np.random.default_rng(3), 40, 2)
    (single,) = paired(values).differences([(1, 0)])
    thrice = np.stack([values] * 3).mean(axis=0)
    assert paired(thrice).differences([(1, 0)]) == [single]


def test_levels_are_those_at_which_holm_tests() -> None:
    """By hand: 0.001 < 0.05/4 and 0.012 < 0.05/3, then 0.03 > 0.05/2, which holds for the rest."""
    p = np.array([0.03, 0.001, 0.2, 0.012])
    levels = holm_levels(p, holm(p) <= 0.05, 0.05)
    assert 1 - levels == pytest.approx([0.05 / 2, 0.05 / 4, 0.05 / 2, 0.05 / 3])


@pytest.mark.parametrize("repeats", [1, 4])
def test_an_interval_leaves_out_zero_only_where_the_corrected_test_rejects(repeats: int) -> None:
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(40):
        values = np.mean([binary(rng, 50, 5, gain=0.06) for _ in range(repeats)], axis=0)
        for found in paired(values).differences(to_first(5)):
            outside = found.low > 0 or found.high < 0
            assert outside <= (found.p_holm <= 0.05)
            assert found.excludes_zero == outside
            assert found.low <= found.value <= found.high
            assert found.low <= found.pointwise_low
            assert found.pointwise_high <= found.high
            seen.add(outside)
    assert seen == {True, False}


@pytest.mark.parametrize("repeats", [1, 5])
def test_a_shuffled_pairing_widens_the_interval(repeats: int) -> None:
    rng = np.random.default_rng(5)
    easy = rng.beta(0.4, 0.4, 200)[:, None]
    values = (rng.random((repeats, 200, 2)) < easy).mean(axis=0)
    shuffled = np.stack([values[:, 0], rng.permutation(values[:, 1])], axis=1)
    (own,), (other,) = (paired(v).differences([(1, 0)]) for v in (values, shuffled))
    assert other.value == pytest.approx(own.value)
    assert other.high - other.low > 1.3 * (own.high - own.low)


def test_the_order_of_questions_is_irrelevant() -> None:
    rng = np.random.default_rng(6)
    values = binary(rng, 60, 3, gain=0.05)
    again = paired(values[rng.permutation(60)]).differences(to_first(3))
    for one, other in zip(paired(values).differences(to_first(3)), again, strict=True):
        assert (one.value, one.p, one.low, one.high) == pytest.approx(
            (other.value, other.p, other.low, other.high)
        )


def test_equal_answers_leave_room_for_what_was_not_seen() -> None:
    values = np.repeat(binary(np.random.default_rng(7), 30, 1), 2, axis=1)
    (found,) = paired(values).differences([(1, 0)])
    assert (found.value, found.p) == (0, 1)
    assert found.low < -0.05 < 0.05 < found.high
    averaged = values + np.where(values == 1, -0.5, 0.5)  # no longer right or wrong
    (other,) = paired(averaged).differences([(1, 0)])
    assert (other.low, other.high) == pytest.approx((found.low, found.high))


def test_an_average_is_the_mean_of_tasks_by_hand() -> None:
    values = np.array([[1, 0], [0, 0], [1, 1], [0, 1], [1, 1], [1, 0]], dtype=float)
    strata = np.array([0, 0, 1, 1, 1, 1])
    table = paired(values, strata)
    assert table.means == pytest.approx([(1 / 2 + 3 / 4) / 2, (0 / 2 + 3 / 4) / 2])
    (found,) = table.differences([(0, 1)])
    assert found.value == pytest.approx(0.25)
    assert found.test == "sign-flip"


def test_an_average_of_equal_tasks_is_as_sure_as_all_their_questions() -> None:
    rng = np.random.default_rng(8)
    values = binary(rng, 300, 2, gain=0.05)
    (whole,) = paired(values).differences([(1, 0)])
    (halves,) = paired(values, np.repeat([0, 1], 150)).differences([(1, 0)])
    assert halves.value == pytest.approx(whole.value)
    assert halves.high - halves.low == pytest.approx(whole.high - whole.low, rel=0.08)
    assert halves.p == pytest.approx(whole.p, abs=0.03)


@pytest.mark.parametrize(("questions", "repeats"), [(30, 4), (100, 3)])
def test_intervals_of_averages_cover_the_true_difference(questions: int, repeats: int) -> None:
    """Questions of two kinds: one that nobody doubts, and one where the second gains 0.3."""
    rng = np.random.default_rng(9)
    options = Options(resamples=500, flips=100)
    runs, hits = 500, 0
    for _ in range(runs):
        hard = rng.random(questions) < 0.5
        chances = np.stack([np.where(hard, 0.3, 0.95), np.where(hard, 0.6, 0.95)], axis=1)
        values = (rng.random((repeats, questions, 2)) < chances).mean(axis=0)
        table = Paired(values, np.zeros(questions, dtype=np.int64), options)
        (found,) = table.differences([(1, 0)])
        hits += found.pointwise_low <= 0.15 <= found.pointwise_high
    error = 3.3 * np.sqrt(0.95 * 0.05 / runs)
    assert 0.95 - error < hits / runs < 0.95 + error


def test_scores_of_single_answers_have_wilsons_interval() -> None:
    values = np.array([[1.0]] * 7 + [[0.0]] * 23)
    (score,) = paired(values).scores
    wilson = binomtest(7, 30).proportion_ci(0.95, method="wilson")
    assert (score.low, score.high) == pytest.approx((wilson.low, wilson.high))
