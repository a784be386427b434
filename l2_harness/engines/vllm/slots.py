"""Places of responses that are decoded side by side."""

from __future__ import annotations


class Slots:
    """Which of ``n`` places are free."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._free = list(range(n))[::-1]

    def occupy(self) -> int:
        """A free place.

        Raises:
            RuntimeError: there is none.
        """
        if not self._free:
            raise RuntimeError(
                f"More than {self._n} responses are under way at a time, which max_num_seqs rules "
                "out: this vLLM schedules requests in a way that is not known here."
            )
        return self._free.pop()

    def free(self, slot: int) -> None:
        """The response in a place is over."""
        self._free.append(slot)
