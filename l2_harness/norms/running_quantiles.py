"""Exact quantiles of the values so far, of many sequences side by side.

Knows numbers in slots; knows nothing of layers or responses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_STRIDE = 64  # places by which the part in use grows, so that its views can be kept


class RunningQuantiles:
    """A sorted buffer a slot, which takes one value a step; no host synchronisation.

    Quantiles are numpy's default ("linear", Hyndman and Fan's type 7). A value that is +inf
    does not enter, so that a step may leave slots out. Buffers grow by doubling, for all
    slots at once; a step works on the part that the fullest slot uses.

    Args:
        n_slots: how many sequences.
        quantiles: Q numbers from 0 to 1.
        device: where the buffers are.
        capacity: values a slot that the first buffer holds.
    """

    def __init__(
        self,
        n_slots: int,
        quantiles: Sequence[float],
        device: torch.device | str = "cpu",
        capacity: int = 64,
    ) -> None:
        self._quantiles = np.asarray(quantiles, dtype=np.float64)
        self._device = device
        # A column a slot. Place 0 is -inf throughout: every value then has a lower neighbour.
        self._sorted = torch.full((capacity + 1, n_slots), torch.inf, device=device)
        self._sorted[0] = -torch.inf
        self._count = torch.zeros(n_slots, dtype=torch.int64, device=device)
        self._views: tuple[int, Tensor, Tensor] | None = None
        # At least the count of each slot, since the host does not know which values were finite:
        # what every slot took, and what one took besides. A step only adds to the former.
        self._by_all = 0
        self._besides = np.zeros(n_slots, dtype=np.int64)
        self._most_besides = 0
        self._places, self._fractions = self._tables(capacity)

    def add(self, values: Tensor, finite: Tensor, slots: np.ndarray | None = None) -> None:
        """Take one value a slot.

        Args:
            values: (n_slots,) float32, +inf where nothing enters.
            finite: (n_slots,) bool, whether it does.
            slots: those where something may enter, if not all.
        """
        if slots is None:
            self._by_all += 1
        else:
            self._take_besides(slots, 1)
        lower, used = self._used(self._make_room())
        # Above its own place a new value moves each one up by one place.
        torch.minimum(used, torch.maximum(values, lower), out=used)
        self._count += finite

    def add_many(self, values: Tensor, entering: np.ndarray) -> None:
        """Take many values a slot at once.

        Args:
            values: (n, n_slots) float32, +inf where nothing enters.
            entering: (n_slots,) how many of each slot's may enter.
        """
        before = self._by_all + self._most_besides
        self._take_besides(slice(None), entering)
        width = self._make_room()
        together = torch.cat([self._sorted[1 : before + 1], values])
        self._sorted[1 : width + 1] = together.sort(dim=0).values[:width]
        self._count += (values < torch.inf).sum(dim=0)

    def read(self) -> Tensor:
        """(Q, n_slots) float32; NaN for a slot that holds nothing."""
        places = self._places.index_select(1, self._count)
        lower, upper = self._sorted.gather(0, places).chunk(2)
        return torch.lerp(lower, upper, self._fractions.index_select(1, self._count))

    def reset(self, slots: np.ndarray) -> None:
        """Forget all values of some slots."""
        index = torch.from_numpy(slots).to(self._device)
        self._sorted[1:, index] = torch.inf
        self._count[index] = 0
        self._take_besides(slots, -self._by_all - self._besides[slots])
        self._views = None

    def _used(self, width: int) -> tuple[Tensor, Tensor]:
        """Two views of the places in use, or a few more: one place down, and as they are."""
        if self._views is None or width > self._views[0]:
            width = min(-(-width // _STRIDE) * _STRIDE, len(self._sorted) - 1)
            self._views = width, self._sorted[:width], self._sorted[1 : width + 1]
        return self._views[1:]

    def _take_besides(self, slots: np.ndarray | slice, number: np.ndarray | int) -> None:
        self._besides[slots] += number
        self._most_besides = int(self._besides.max())

    def _make_room(self) -> int:
        """How many places are in use, once they exist."""
        width = self._by_all + self._most_besides
        capacity = len(self._sorted) - 1
        if width > capacity:
            capacity = max(width, 2 * capacity)
            grown = self._sorted.new_full((capacity + 1, len(self._besides)), torch.inf)
            grown[: len(self._sorted)] = self._sorted
            self._sorted = grown
            self._views = None
            self._places, self._fractions = self._tables(capacity)
        return width

    def _tables(self, capacity: int) -> tuple[Tensor, Tensor]:
        """For every count up to ``capacity``: the places of the two values that each quantile
        lies between, (2Q, capacity + 1), and how far it is towards the upper one, (Q, …).
        """
        last = np.maximum(np.arange(capacity + 1) - 1, 0)
        position = self._quantiles[:, None] * last
        lower = np.floor(position).astype(np.int64)
        places = np.concatenate([lower, np.minimum(lower + 1, last)]) + 1
        fractions = (position - lower).astype(np.float32)
        return (
            torch.from_numpy(places).to(self._device),
            torch.from_numpy(fractions).to(self._device),
        )
