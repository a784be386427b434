"""Exact quantiles of the values so far, of many sequences side by side.

Knows numbers in groups and slots; knows nothing of layers or responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_STRIDE = 64  # places by which the part in use grows, so that its views can be kept


class NextQuantiles(NamedTuple):
    """What the quantiles will be, up to the one value that each sequence takes next.

    A quantile lies between two of the sorted values. When one more enters, the k-th of them
    becomes it, or the (k−1)-th that was there, or the k-th: whichever is the middle one.

    Attributes:
        lowest, highest: (2Q, …) what the two values by each quantile will at least and at most be.
        fractions: (Q, …) how far the quantile is towards the upper one.
    """

    lowest: Tensor
    highest: Tensor
    fractions: Tensor

    def of(self, values: Tensor) -> Tensor:
        """(Q, …) float32, once values: (…) have entered."""
        lower, upper = torch.clamp(values, self.lowest, self.highest).chunk(2)
        return torch.lerp(lower, upper, self.fractions)

    def of_slots(self, index: Tensor) -> NextQuantiles:
        """Those of some slots, index: (n,) int64, the last dimension."""
        return NextQuantiles(*(part.index_select(-1, index) for part in self))

    def groups(self) -> list[NextQuantiles]:
        """One a group, (…, n_slots) each."""
        return [NextQuantiles(*parts) for parts in zip(*(p.unbind(1) for p in self), strict=True)]


class RunningQuantiles:
    """A sorted buffer a sequence, which takes one value a step; no host synchronisation.

    Quantiles are numpy's default ("linear", Hyndman and Fan's type 7). A value that is +inf
    does not enter, so that a step may leave sequences out. Buffers grow by doubling, for all
    at once; a step works on the part that the fullest one uses.

    Args:
        n_slots: sequences a group; :meth:`add_group` makes the groups.
        quantiles: Q numbers from 0 to 1.
        device: where the buffers are.
        capacity: values a sequence that the first buffer holds.
    """

    def __init__(
        self,
        n_slots: int,
        quantiles: Sequence[float],
        device: torch.device | str = "cpu",
        capacity: int = 64,
    ) -> None:
        self._quantiles = np.asarray(quantiles, dtype=np.float64)
        self._device = torch.device(device)
        # Place 0 is -inf throughout: every value then has a lower neighbour.
        self._sorted = torch.full((capacity + 1, 0, n_slots), torch.inf, device=device)
        self._count = torch.zeros(0, n_slots, dtype=torch.int64, device=device)
        # At least the count of each sequence, since the host does not know which were finite; and
        # at least the largest of those.
        self._at_most = np.zeros((0, n_slots), dtype=np.int64)
        # Steps that took a value of these slots in all groups, and are not in it yet.
        self._steps: tuple[np.ndarray | slice, int] = (slice(None), 0)
        self._width = 0
        self._views: tuple[int, Tensor, Tensor] | None = None
        self._capacity = capacity
        self._make_tables()

    def add_group(self) -> int:
        """``n_slots`` sequences more, all empty; the group's number."""
        self._count_steps()
        group, n_slots = self._at_most.shape
        empty = self._sorted.new_full((self._capacity + 1, 1, n_slots), torch.inf)
        empty[0] = -torch.inf
        self._sorted = torch.cat([self._sorted, empty], dim=1)
        self._count = torch.cat([self._count, self._count.new_zeros(1, n_slots)])
        self._at_most = np.pad(self._at_most, ((0, 1), (0, 0)))
        self._views = None
        return group

    def add(
        self, values: Tensor, slots: np.ndarray | slice = slice(None), group: int | None = None
    ) -> None:
        """Take one value a sequence.

        Args:
            values: (groups, n_slots) float32, +inf where nothing enters; or (n_slots,) of one
                group.
            slots: those where something may enter, if not all.
            group: which one, if not all.
        """
        if group is not None:
            self._at_most[group, slots] += 1
        else:
            if slots is not self._steps[0]:
                self._count_steps()
            self._steps = slots, self._steps[1] + 1
        self._width += 1
        lower, used = self._used()
        count = self._count
        if group is not None:
            lower, used, count = lower[:, group], used[:, group], count[group]
        # Above its own place a new value moves each one up by one place.
        torch.minimum(used, torch.maximum(values, lower), out=used)
        count += values < torch.inf

    def add_many(self, group: int, values: Tensor, entering: np.ndarray) -> None:
        """Take many values a sequence of one group at once.

        Args:
            group: which one.
            values: (n, n_slots) float32, +inf where nothing enters.
            entering: (n_slots,) how many of each slot's may enter.
        """
        self._count_steps()
        before = int(self._at_most[group].max())
        self._at_most[group] += entering
        after = int(self._at_most[group].max())
        self._width = max(self._width, after)
        self._make_room()
        own = self._sorted[:, group]
        together = torch.cat([own[1 : before + 1], values])
        own[1 : after + 1] = together.sort(dim=0).values[:after]
        self._count[group] += (values < torch.inf).sum(dim=0)

    def read(self) -> Tensor:
        """(Q, groups, n_slots) float32; NaN for a sequence that holds nothing."""
        found, fractions = self._look_up(self._places, 0)
        lower, upper = found.chunk(2)
        return torch.lerp(lower, upper, fractions)

    def next(self) -> NextQuantiles:
        """The quantiles after the next :meth:`add`, (…, groups, n_slots)."""
        self._make_room(1)
        found, fractions = self._look_up(self._places_next, 1)
        lowest, highest = found.chunk(2)
        return NextQuantiles(lowest, highest, fractions)

    def reset(self, slots: np.ndarray) -> None:
        """Forget all values of some slots, in every group."""
        index = torch.from_numpy(slots).to(self._device)
        self._sorted[1:].index_fill_(2, index, torch.inf)
        self._count.index_fill_(1, index, 0)
        self._count_steps()
        self._at_most[:, slots] = 0

    def _look_up(self, table: Tensor, more: int) -> tuple[Tensor, Tensor]:
        """What stands at a table's places, and the fractions, both by count."""
        count = self._count.view(-1)
        shape = -1, *self._count.shape
        places = table.index_select(1, count)
        fractions = self._fractions[more].index_select(1, count)
        found = self._sorted.view(self._capacity + 1, -1).gather(0, places)
        return found.view(shape), fractions.view(shape)

    def _used(self) -> tuple[Tensor, Tensor]:
        """Two views of the places in use, or a few more: one place down, and as they are."""
        if self._views is None or self._width > self._views[0]:
            self._width = self._most()
            self._make_room()
            width = min(-(-self._width // _STRIDE) * _STRIDE, self._capacity)
            self._views = width, self._sorted[:width], self._sorted[1 : width + 1]
        return self._views[1:]

    def _most(self) -> int:
        """At least as many values as the fullest sequence has."""
        self._count_steps()
        return int(self._at_most.max(initial=0))

    def _count_steps(self) -> None:
        """Add up the steps with the same slots, which :meth:`add` only counts."""
        slots, steps = self._steps
        self._at_most[:, slots] += steps
        self._steps = slots, 0

    def _make_room(self, more: int = 0) -> None:
        """See to it that the fullest sequence can take so many more."""
        if self._width + more <= self._capacity:
            return
        self._width = self._most()
        if self._width + more > self._capacity:
            self._capacity = max(self._width + more, 2 * self._capacity)
            grown = self._sorted.new_full((self._capacity + 1, *self._count.shape), torch.inf)
            grown[: len(self._sorted)] = self._sorted
            self._sorted = grown
            self._views = None
            self._make_tables()

    def _make_tables(self) -> None:
        """For every count: the places of the two values by each quantile, (2Q, …), those of what
        these will lie between when one value more is there, (4Q, …), and the fractions of both.
        """
        last = np.maximum(np.arange(self._capacity + 1) - 1, 0)
        position = self._quantiles[:, None] * last
        lower = np.floor(position).astype(np.int64)
        places = np.concatenate([lower, np.minimum(lower + 1, last)]) + 1
        fractions = torch.from_numpy((position - lower).astype(np.float32)).to(self._device)
        after = np.concatenate([places[:, 1:] - 1, places[:, 1:]])
        self._places = torch.from_numpy(places).to(self._device)
        self._places_next = torch.from_numpy(after).to(self._device)
        self._fractions = fractions, fractions[:, 1:].contiguous()
