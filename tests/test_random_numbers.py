from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from l2_harness.random_numbers import uniform_draws


def test_a_longer_call_begins_with_a_shorter_one() -> None:
    np.testing.assert_array_equal(uniform_draws(1, "p", 2, 500)[:33], uniform_draws(1, "p", 2, 33))


def test_uniform_over_responses_and_over_steps() -> None:
    table = np.stack([uniform_draws(0, f"prompt {i}", 0, 200) for i in range(200)])
    for numbers in (table[0], table[:, 0], table[:, 199], table.ravel()):
        assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    assert 0 < table.min() < table.max() < 1


@pytest.mark.parametrize(
    "other", [(8, "p", 0, "tokens"), (7, "q", 0, "tokens"), (7, "p", 1, "tokens"), (7, "p", 0, "x")]
)
def test_streams_are_independent(other: tuple[int, str, int, str]) -> None:
    seed, prompt, sample, purpose = other
    first = uniform_draws(7, "p", 0, 2000)
    second = uniform_draws(seed, prompt, sample, 2000, purpose)
    assert abs(stats.pearsonr(first, second).statistic) < 0.08
    assert not np.isin(first, second).any()


def test_a_product_stays_below_the_total() -> None:
    """The largest draw there can be, on any total, falls before its end."""
    largest = (2.0**48 - 0.5) * 2.0**-48
    totals = 1 + np.linspace(-1, 1, 10001) * 1e-6
    assert (largest * totals < totals).all()


@pytest.mark.process
def test_the_same_in_another_process() -> None:
    code = (
        "from l2_harness.random_numbers import uniform_draws as u; print(u(3, 'ä', 1, 4).tolist())"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == str(uniform_draws(3, "ä", 1, 4).tolist())
