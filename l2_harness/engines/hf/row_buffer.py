"""A tensor of rows that grows a position at a time, with room to be written in place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: A buffer that is full gets room for this many more positions, or a share of its length.
_ROOM = 64
_ROOM_SHARE = 8


class RowMoves:
    """How rows are dropped with the fewest copies: the last kept ones fill the gaps.

    Attributes:
        order: (rows,) int64, the old row at each new place.

    Args:
        kept: the rows that stay, ascending.
    """

    def __init__(self, kept: Sequence[int]) -> None:
        n, staying = len(kept), set(kept)
        gaps = [row for row in range(n) if row not in staying]
        movers = [row for row in kept if row >= n]
        order = list(range(n))
        for gap, mover in zip(gaps, movers, strict=True):
            order[gap] = mover
        self.order = torch.tensor(order)
        self._moved = torch.tensor([gaps, movers])
        self._on: dict[torch.device, Tensor] = {}

    def move(self, whole: Tensor) -> None:
        """Fill the gaps of whole: (rows before, …), in place."""
        if not self._moved.numel():
            return
        if whole.device not in self._on:
            self._on[whole.device] = self._moved.to(whole.device)
        gaps, movers = self._on[whole.device]
        whole.index_copy_(0, gaps, whole.index_select(0, movers))


class RowBuffer:
    """Rows that end at the same position: what is written, and room around it.

    Args:
        held: (rows, …, positions, …), what it begins with.
        dim: the dimension of positions.
    """

    def __init__(self, held: Tensor, dim: int) -> None:
        self._dim = dim
        self._start, self._end = 0, held.shape[dim]
        self._whole = self._own = held  # the buffer, and the rows of it that are in use
        self._remake(len(held), self._end)

    @property
    def view(self) -> Tensor:
        """All rows, at the positions that they have."""
        return self._own.narrow(self._dim, self._start, self._end - self._start)

    def append(self, new: Tensor) -> Tensor:
        """Add positions to all rows; what they have then."""
        count = new.shape[self._dim]
        if self._end + count > self._whole.shape[self._dim]:
            self._remake(len(self._whole), self._end - self._start, count)
        self._own.narrow(self._dim, self._end, count).copy_(new)
        self._end += count
        return self.view

    def keep(self, moves: RowMoves) -> Tensor:
        """Drop rows, in place."""
        moves.move(self.view)
        self._own = self._whole[: len(moves.order)]
        return self.view

    def join(self, new: Tensor) -> Tensor:
        """Add rows that end where the others do; what is missing at the left is 0."""
        held = len(self._own)
        rows, length = held + len(new), new.shape[self._dim]
        if rows > len(self._whole) or length > self._end - self._start:
            self._remake(max(rows, len(self._whole)), max(length, self._end - self._start))
        begin = self._end - length
        # a mask does not help against what is no number
        self._part(held, rows, self._start, begin).zero_()
        self._part(held, rows, begin, self._end).copy_(new)
        self._own = self._whole[:rows]
        return self.view

    def drop_left(self, count: int) -> Tensor:
        """Forget the first positions."""
        self._start += count
        return self.view

    def _part(self, first: int, last: int, start: int, end: int) -> Tensor:
        return self._whole[first:last].narrow(self._dim, start, end - start)

    def _remake(self, rows: int, length: int, room: int = 0) -> None:
        """A new buffer for ``rows`` rows and ``length`` positions, room after them."""
        held = self.view
        shape = list(self._whole.shape)
        shape[0], shape[self._dim] = rows, length + max(_ROOM, length // _ROOM_SHARE, room)
        self._whole = held.new_empty(shape)
        missing = length - held.shape[self._dim]
        self._start, self._end = 0, length
        self._own = self._whole[: len(held)]
        self._own.narrow(self._dim, 0, missing).zero_()
        self._own.narrow(self._dim, missing, length - missing).copy_(held)
