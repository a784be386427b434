"""StALT against loops over its definition, with responses that leave the batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from l2_harness.engines.state_moves import StateMoves


def definition(states: np.ndarray) -> float:
    """Of one response, states (T, layers, d); the first layer only stands before the second."""
    total = 0.0
    for t in range(1, len(states)):
        changed = [math.dist(states[t, i], states[t, i - 1]) for i in range(1, states.shape[1])]
        powers = [math.exp(one - max(changed)) for one in changed]
        moved = [math.dist(states[t, i], states[t - 1, i]) for i in range(1, states.shape[1])]
        total += sum(p * m for p, m in zip(powers, moved, strict=True)) / sum(powers)
    return total / (len(states) - 1)


@pytest.mark.parametrize("lengths", [[5], [4, 7, 2], [3, 3, 6, 1]])
def test_against_the_definition(lengths: list[int]) -> None:
    rng = np.random.default_rng(sum(lengths))
    whole = [rng.normal(size=(n, 4, 6)).astype(np.float32) for n in lengths]
    moves = StateMoves()
    for t in range(max(lengths)):
        there = [i for i, n in enumerate(lengths) if t < n]
        states = torch.stack([torch.tensor(whole[i][t]) for i in there], dim=1)
        moves.add([10 + i for i in there], states)
    keys = [10 + i for i in range(len(lengths))]
    found = moves.take(keys)
    expected = {10 + i: definition(one) for i, one in enumerate(whole) if len(one) > 1}
    assert found == pytest.approx(expected, rel=1e-5)
    assert moves.take(keys) == {}


def test_rows_in_another_order() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 2, 3, 5)).astype(np.float32)
    moves = StateMoves()
    moves.add([0, 1], torch.tensor(np.stack([a[0], b[0]], axis=1)))
    moves.add([1, 0], torch.tensor(np.stack([b[1], a[1]], axis=1)))
    assert moves.take([0, 1]) == pytest.approx({0: definition(a), 1: definition(b)}, rel=1e-5)


def test_responses_come_and_go() -> None:
    """One is taken while another goes on, which a step leaves out."""
    rng = np.random.default_rng(4)
    a, b, c = rng.normal(size=(3, 3, 3, 5)).astype(np.float32)
    moves = StateMoves()
    for rows in ({0: a[0], 1: b[0]}, {0: a[1], 1: b[1]}, {2: c[0]}):
        moves.add(list(rows), torch.tensor(np.stack(list(rows.values()), axis=1)))
    assert moves.take([1]) == pytest.approx({1: definition(b[:2])}, rel=1e-5)
    for rows in ({2: c[1], 0: a[2]}, {2: c[2]}):
        moves.add(list(rows), torch.tensor(np.stack(list(rows.values()), axis=1)))
    expected = {0: definition(a), 2: definition(c)}
    assert moves.take([0, 1, 2]) == pytest.approx(expected, rel=1e-5)
