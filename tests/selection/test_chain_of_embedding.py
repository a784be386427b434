"""Chain-of-Embedding: by hand, against loops, and at the edges."""

from __future__ import annotations

import cmath
import itertools
import math

import numpy as np
import pytest

from l2_harness.selection.chain_of_embedding import COE_SCORES, chain_of_embedding


def test_a_quarter_turn_in_two_steps() -> None:
    """(1,0) → (1,1) → (0,1): both steps have length 1 and turn by half of the right angle."""
    scores = chain_of_embedding(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    magnitude, angle = 1 / math.sqrt(2), 0.5
    assert scores["coe_magnitude"] == pytest.approx(magnitude)
    assert scores["coe_angle"] == pytest.approx(angle)
    assert scores["coe_r"] == pytest.approx(magnitude - angle)
    assert scores["coe_c"] == pytest.approx(magnitude)  # both steps point the same way


def test_against_loops() -> None:
    rng = np.random.default_rng(0)
    states = rng.normal(size=(7, 5)).cumsum(0)

    def angle(a: np.ndarray, b: np.ndarray) -> float:
        return math.acos(float(a @ b) / math.sqrt(float(a @ a)) / math.sqrt(float(b @ b)))

    whole = math.dist(states[0], states[-1])
    turned = angle(states[0], states[-1])
    pairs = list(itertools.pairwise(states))
    magnitudes = [math.dist(a, b) / whole for a, b in pairs]
    angles = [angle(a, b) / turned for a, b in pairs]
    mean = sum(m * cmath.exp(1j * a) for m, a in zip(magnitudes, angles, strict=True)) / 6
    expected = (
        sum(magnitudes) / 6,
        sum(angles) / 6,
        (sum(magnitudes) - sum(angles)) / 6,
        abs(mean),
    )
    assert list(chain_of_embedding(states).values()) == pytest.approx(expected)
    # a sum of rows serves as well as their mean
    assert chain_of_embedding(37 * states) == pytest.approx(chain_of_embedding(states))


@pytest.mark.parametrize(
    "states",
    [
        np.ones((1, 3)),
        np.array([[1.0, 0.0], [0.0, 1.0]]),
        np.ones((4, 3)),
        np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]),
        np.array([[1.0, 0.0], [np.inf, 1.0], [1.0, 2.0]]),
        np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0]]),
    ],
)
def test_no_chain(states: np.ndarray) -> None:
    assert all(math.isnan(value) for value in chain_of_embedding(states).values())
    assert tuple(chain_of_embedding(states)) == COE_SCORES
