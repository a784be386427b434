from __future__ import annotations

import pytest

from l2_harness.engines.slot_table import SlotTable


def test_the_lowest_free_slot_is_next() -> None:
    slots = SlotTable(3)
    assert [slots.take(response) for response in (7, 8, 9)] == [0, 1, 2]
    assert slots.of([9, 7]) == [2, 0]
    assert [slots.release(8), slots.release(7)] == [1, 0]
    assert [slots.take(10), slots.take(11)] == [0, 1]
    with pytest.raises(IndexError):
        slots.take(12)
