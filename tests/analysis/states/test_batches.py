from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from l2_harness.analysis.states.batches import batches


@given(st.lists(st.integers(1, 20)), st.integers(1, 50), st.one_of(st.none(), st.integers(1, 4)))
def test_batches_hold_everything_once_and_no_more_than_fits(
    lengths: list[int], positions: int, most: int | None
) -> None:
    found = list(batches(lengths, lambda length: length, positions, most))
    assert [length for batch in found for length in batch] == lengths
    for batch in found:
        assert len(batch) == 1 or max(batch) * len(batch) <= positions
        assert 1 <= len(batch) <= (most or len(lengths))
    # none could have taken the first of the next one as well
    for batch, after in pairwise(found):
        bigger = [*batch, after[0]]
        assert len(batch) == most or max(bigger) * len(bigger) > positions
