"""The same figures by evalstats, another package for the statistics of evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from l2_harness.statistics.intervals import tango, wilson
from l2_harness.statistics.significance import mcnemar_p, sign_flip_p

pytest.importorskip("evalstats", reason="evalstats is not installed: pip install evalstats")


@pytest.fixture(scope="module")
def answers() -> np.ndarray:
    """(2, n) right and wrong."""
    return (np.random.default_rng(0).random((2, 60)) < [[0.7], [0.5]]).astype(float)


def test_wilson(answers: np.ndarray) -> None:
    from evalstats.core.resampling import wilson_ci

    right = int(answers[0].sum())
    assert wilson(right / 60, 60, norm.ppf(0.975)) == pytest.approx(wilson_ci(right, 60, 0.05))


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_tango(answers: np.ndarray, alpha: float) -> None:
    from evalstats.core.resampling import tango_scc_paired_ci

    first, second = answers
    better, worse = int((first > second).sum()), int((first < second).sum())
    ends = np.concatenate(tango(better, worse, 60, norm.ppf(1 - alpha / 2)))
    # without its continuity correction
    assert ends == pytest.approx(tango_scc_paired_ci(first, second, alpha, c=0.0), abs=1e-6)


def test_p_values(answers: np.ndarray) -> None:
    from evalstats import tests as other

    private: Any = other
    first, second = answers
    found = mcnemar_p((first > second).sum(), (first < second).sum())
    assert found == pytest.approx(private._mcnemar_p(first, second))
    rng = np.random.default_rng(1)
    differences = rng.integers(-4, 6, 40) / 8
    expected = private._paired_signflip_pvalue(
        differences, statistic="mean", n_samples=10_000, rng=rng
    )
    assert sign_flip_p(differences[:, None])[0] == pytest.approx(expected, abs=0.015)
