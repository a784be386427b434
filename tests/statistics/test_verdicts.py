"""The rule of verdicts, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from l2_harness.statistics.paired import Contrasts, Difference, differences
from l2_harness.statistics.verdicts import verdict

ONE = Difference(
    value=0.0,
    low=-0.01,
    high=0.01,
    responses=100,
    questions=100,
    level=0.99,
    pointwise_low=-0.008,
    pointwise_high=0.008,
    p=1.0,
    p_corrected=1.0,
    test="mcnemar",
    variance=0.1,
    discordant=0.1,
)


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (0.001, 0.05, 0.1, "better"),
        (-0.1, -0.05, -0.001, "worse"),
        (-0.019, 0.0, 0.019, "equivalent"),
        (-0.02, 0.0, 0.019, "abstain"),
        (-0.019, 0.01, 0.03, "abstain"),
        (0.0, 0.005, 0.01, "equivalent"),
        (0.001, 0.005, 0.01, "better"),
        (np.nan, 0.0, np.nan, "abstain"),
    ],
)
def test_where_the_interval_lies(low: float, value: float, high: float, expected: str) -> None:
    found = replace(ONE, value=value, low=low, high=high)
    assert verdict(found, 0.02) == expected
    turned = replace(ONE, value=-value, low=-high, high=-low)
    assert verdict(turned, 0.02, higher_is_better=False) == expected


def test_nothing_is_equivalent_without_a_margin() -> None:
    assert verdict(ONE) == "abstain"
    assert verdict(ONE, 0.02) == "equivalent"


def test_equivalence_is_two_one_sided_tests_at_half_the_level() -> None:
    """Of Student's interval: both tests of a difference of ± the margin reject at 2.5 %."""
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(4)
    verdicts, rejected = [], []
    for spread in np.linspace(2, 30, 60):
        values = rng.normal(0, spread, 150)
        (found,) = differences(Contrasts.of(values[:, None], np.zeros((150, 1))))
        verdicts.append(verdict(found, 2.0))
        tests = ((-2.0, "greater"), (2.0, "less"))
        p = max(ttest_1samp(values, edge, alternative=side).pvalue for edge, side in tests)
        rejected.append(bool(p < 0.025))
        at_the_edge = abs(p - 0.025) < 0.003  # a question's variance is that of a plug-in here
        if not at_the_edge and not found.excludes_zero:
            assert (verdicts[-1] == "equivalent") == rejected[-1]
    assert 0 < sum(rejected) < len(rejected)
