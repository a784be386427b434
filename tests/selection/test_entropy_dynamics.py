"""EDIS by hand; against a slow version in test_group_scores.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from l2_harness.selection.entropy_dynamics import instability


def test_a_burst_and_a_rebound() -> None:
    """0 … 0 2 0: the 2 is above the least before it, and above the row two before it."""
    entropy = np.array([0.0, 0.0, 0.0, 2.0, 0.0])
    variance = (4 * 0.4**2 + 1.6**2) / 5
    assert instability(entropy, window=2) == pytest.approx((1 + 1) / 2 * (1 + variance))


def test_a_fall_is_steady() -> None:
    assert instability(np.linspace(5, 0, 30)) == 0


def test_what_lasts_counts_at_every_row() -> None:
    entropy = np.array([0.0, *[2.0] * 9])
    assert instability(entropy) == pytest.approx((2 - 0 + 9 - 0 - 1) / 2 * (1 + 0.36))


@pytest.mark.parametrize("entropy", [[1.0], [1.0, 9.0], [3.0] * 8])
def test_short(entropy: list[float]) -> None:
    """Fewer rows than a window have no burst."""
    rebounds = 1 if len(entropy) == 2 else 0
    variance = float(np.var(entropy))
    assert instability(np.array(entropy)) == rebounds / 2 * (1 + variance)


def test_not_finite() -> None:
    assert math.isnan(instability(np.array([1.0, np.nan, 2.0])))
