"""Which slot of a fixed number of them each response under way has."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class SlotTable:
    """Gives out the lowest slot that is free.

    Args:
        n_slots: responses at a time.
    """

    def __init__(self, n_slots: int) -> None:
        self._free = list(range(n_slots))
        self._slot: dict[int, int] = {}

    def take(self, response: int) -> int:
        """A slot for a response that begins.

        Raises:
            IndexError: none is free.
        """
        self._slot[response] = heapq.heappop(self._free)
        return self._slot[response]

    def of(self, responses: Iterable[int]) -> list[int]:
        """The slots of responses under way."""
        return [self._slot[response] for response in responses]

    def release(self, response: int) -> int:
        """A response is over; the slot that it had."""
        slot = self._slot.pop(response)
        heapq.heappush(self._free, slot)
        return slot
