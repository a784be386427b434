from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from l2_harness.statistics.design import Design
from l2_harness.statistics.paired import Contrasts, Difference, Paired, differences
from l2_harness.statistics.significance import holm


def paired(values: np.ndarray, strata: np.ndarray | None = None, flips: int = 5000) -> Paired:
    return Paired(values, Design.of(len(values), strata), flips=flips)


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
    for difference, corrected in zip(found, holm([d.p for d in found]), strict=True):
        assert difference.p <= difference.p_corrected <= corrected + 0.02


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


def test_one_comparison_is_not_corrected() -> None:
    values = binary(np.random.default_rng(11), 60, 2, gain=0.1)
    (found,) = paired(values).differences([(1, 0)])
    assert (found.p_corrected, found.level) == (found.p, 0.95)
    assert (found.low, found.high) == (found.pointwise_low, found.pointwise_high)


def test_intervals_of_a_family_have_one_level_but_for_what_a_later_step_rejects() -> None:
    values = binary(np.random.default_rng(12), 200, 6, gain=0.07)
    found = paired(values).differences(to_first(6))
    family = max(d.level for d in found)
    assert 0.95 < family < 1 - 0.05 / 5 / 2
    for difference in found:
        if difference.level < family:
            assert difference.p_corrected <= 0.05


@pytest.mark.parametrize("repeats", [1, 4])
def test_an_interval_leaves_out_zero_only_where_the_corrected_test_rejects(repeats: int) -> None:
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(40):
        values = np.mean([binary(rng, 50, 5, gain=0.06) for _ in range(repeats)], axis=0)
        for found in paired(values).differences(to_first(5)):
            outside = found.low > 0 or found.high < 0
            assert outside <= (found.p_corrected <= 0.05)
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
    assert 0 < other.variance < 0.05


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


def test_passages_widen_the_interval_and_are_flipped_as_a_whole() -> None:
    """Forty passages' answers, each said ten times: as sure as forty questions."""
    rng = np.random.default_rng(9)
    few = binary(rng, 40, 2, gain=0.2)
    many, passage = np.repeat(few, 10, axis=0), np.repeat(np.arange(40), 10)
    (alone,) = paired(few).differences([(1, 0)])
    (found,) = Paired(many, Design.of(400, clusters=passage)).differences([(1, 0)])
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    assert found.test == "sign-flip"
    assert found.p == pytest.approx(alone.p, abs=0.02)


def test_a_family_of_several_tasks_is_corrected_as_one() -> None:
    rng = np.random.default_rng(10)
    tables = [binary(rng, n, 3, gain=0.08) for n in (60, 90)]
    parts = [Contrasts.of(v[:, 1:], v[:, [0, 0]]) for v in tables]
    found = differences(parts)
    alone = [d for part in parts for d in differences(part)]
    assert [d.value for d in found] == pytest.approx([d.value for d in alone])
    assert [d.p for d in found] == [d.p for d in alone]
    for one, other in zip(found, alone, strict=True):
        assert one.p_corrected >= other.p_corrected - 0.01
        assert one.questions == other.questions
    assert found[0].level > alone[0].level
    assert differences([]) == []


def test_points_are_a_hundred_times_the_difference() -> None:
    values = binary(np.random.default_rng(13), 50, 2, gain=0.2)
    (found,) = paired(values).differences([(1, 0)])
    points = found.times(100)
    assert isinstance(points, Difference)
    assert (points.low, points.pointwise.high) == (100 * found.low, 100 * found.pointwise_high)
    assert (points.p, points.variance) == (found.p, 1e4 * found.variance)


def test_scores_without_bounds_have_students_interval() -> None:
    rng = np.random.default_rng(14)
    values = rng.normal(40, 5, (25, 2))
    (found,) = paired(values).differences([(1, 0)])
    known = ttest_rel(values[:, 1], values[:, 0]).confidence_interval()
    assert (found.low, found.high) == pytest.approx((known.low, known.high), rel=0.03)


def test_34_methods_on_540_questions_take_seconds() -> None:
    values = binary(np.random.default_rng(15), 540, 34)
    start = time.process_time()
    found = paired(values, flips=2000).differences(list(combinations(range(34), 2)))
    assert len(found) == 561
    assert time.process_time() - start < 10
