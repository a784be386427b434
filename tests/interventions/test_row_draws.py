"""Numbers that are drawn ahead are those of their own rows."""

from __future__ import annotations

import numpy as np
import pytest

from l2_harness.interventions.row_draws import RowDraws
from l2_harness.random_numbers import draw_bits, uniforms

LAYERS = (3, 40)
PURPOSES = ("steering_moment", "recursion_moment")


@pytest.mark.parametrize("seed", range(5))
def test_ahead_or_row_by_row(seed: int) -> None:
    """Responses come and go, skip back to a replay, and ask for one purpose or the other."""
    rng = np.random.default_rng(seed)
    n_slots = 6
    draws = RowDraws(n_slots, LAYERS)
    keys = rng.integers(0, 2**64, n_slots, dtype=np.uint64)
    numbers, rows = np.arange(1, n_slots + 1), np.zeros(n_slots, dtype=np.int64)
    for _ in range(200):
        slots = rng.permutation(n_slots)[: rng.integers(1, n_slots + 1)]
        purpose = PURPOSES[rng.integers(2)]
        found = draws.of(purpose, slots, numbers[slots], keys[slots], rows[slots])
        for place, layer in enumerate(LAYERS):
            bits = draw_bits(keys[slots], purpose, layer, rows[slots])
            assert np.array_equal(found[place], uniforms(bits))
        rows[slots] += 1
        changed = rng.integers(n_slots)
        kind = rng.random()
        if kind < 0.1:  # another response
            numbers[changed] = numbers.max() + 1
            keys[changed] = rng.integers(0, 2**64, dtype=np.uint64)
        if kind < 0.2:  # or the same from its start
            rows[changed] = 0
