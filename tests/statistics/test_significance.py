from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from l2_harness.statistics.significance import SignFlips, holm, mcnemar_p, sign_flip_p


def test_holm_by_hand_and_without_what_is_unknown() -> None:
    corrected = holm([0.01, np.nan, 0.04, 0.03])
    assert corrected[[0, 2, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(corrected[1])
    assert holm([]).shape == (0,)


def test_mcnemar_is_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5, 40, 300):
        first, second = rng.random((2, n)) < [[0.6], [0.5]]
        table = [[((first == a) & (second == b)).sum() for b in (1, 0)] for a in (1, 0)]
        found = mcnemar_p((first & ~second).sum(), (~first & second).sum())
        assert found == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert mcnemar_p([0, 6], [0, 0]) == pytest.approx([1, 2 / 64])


def test_sign_flips_against_all_of_them() -> None:
    differences = np.array([3.0, 1.0, 2.0, 0.0, -1.0, 2.0, 1.0])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 7)).reshape(7, -1)
    exact = (np.abs(differences @ signs) >= differences.sum()).mean()
    found = sign_flip_p(np.stack([differences, -differences, 0 * differences], 1), flips=20000)
    assert found[0] == found[1] == pytest.approx(exact, abs=0.01)
    assert found[2] == 1.0


def test_step_down_is_its_definition() -> None:
    """The largest statistic of those not yet rejected, one by one."""
    rng = np.random.default_rng(0)
    sums = rng.normal(size=(40, 1)) + rng.normal(size=(40, 6)) + [0, 0, 0.2, 0.4, 0.6, 0.8]
    flips = SignFlips.of(sums, flips=2000)
    p, critical = flips.corrected(0.05)
    left, reached = set(range(6)), 0.0
    while left:
        largest = flips.drawn[:, sorted(left)].max(axis=1)
        best = max(left, key=lambda i: flips.observed[i])
        reached = max(reached, (1 + (largest >= flips.observed[best]).sum()) / 2001)
        assert p[best] == pytest.approx(reached)
        if len(left) == 6:
            first = np.quantile(largest, 0.95, method="inverted_cdf")
        step = np.quantile(largest, 0.95, method="inverted_cdf")
        later = reached <= 0.05 and flips.observed[best] < first
        assert critical[best] == pytest.approx(step if later else first)
        left.remove(best)
    assert (p >= flips.p).all()
    assert (p <= holm(flips.p) + 0.02).all()


def test_tests_that_are_one_are_not_corrected() -> None:
    sums = np.repeat(np.random.default_rng(1).normal(0.3, 1, (50, 1)), 20, axis=1)
    flips = SignFlips.of(sums, flips=1000)
    p, critical = flips.corrected(0.05)
    assert p == pytest.approx(flips.p)
    assert critical == pytest.approx(np.full(20, critical[0]))
    assert 1.8 < critical[0] < 2.1


@pytest.mark.parametrize("at_once", [1, 60, 1 << 19])
def test_the_same_signs_however_many_are_drawn_at_a_time(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l2_harness.statistics.significance._AT_ONCE", at_once)
    sums = np.random.default_rng(2).normal(size=(7, 3))
    signs = np.random.default_rng(5).integers(0, 2, (50, 7), dtype=np.int8) * 2.0 - 1
    expected = np.abs(signs @ (sums / np.sqrt((sums**2).sum(axis=0))))
    assert SignFlips.of(sums, flips=50, seed=5).drawn == pytest.approx(expected, abs=1e-12)
