from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from l2_harness.statistics.significance import holm, mcnemar_exact


def test_holm_by_hand_and_without_what_is_unknown() -> None:
    corrected = holm([0.01, np.nan, 0.04, 0.03])
    assert corrected[[0, 2, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(corrected[1])
    assert holm([]).shape == (0,)


def test_mcnemar_is_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5, 40, 300):
        first, second = rng.random((2, n)) < [[0.6], [0.5]]
        table = [
            [int((first & second).sum()), int((first & ~second).sum())],
            [int((~first & second).sum()), int((~first & ~second).sum())],
        ]
        if table[0][1] + table[1][0]:
            assert mcnemar_exact(first, second) == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert mcnemar_exact([1, 0], [1, 0]) == 1.0
