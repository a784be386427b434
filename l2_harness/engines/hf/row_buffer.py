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
        self.gaps = [row for row in range(n) if row not in staying]
        self.movers = [row for row in kept if row >= n]
        order = list(range(n))
        for gap, mover in zip(self.gaps, self.movers, strict=True):
            order[gap] = mover
        self.order = torch.tensor(order)


class RowBuffer:
    """Rows that end at the same position: what is written, and room around it.

    Args:
        held: (rows, …, positions, …), what it begins with.
        dim: the dimension of positions.
    """

    def __init__(self, held: Tensor, dim: int) -> None:
        self._dim = dim
        self._rows, self._start, self._end = len(held), 0, held.shape[dim]
        self._whole = held
        self._remake(len(held), self._end)

    @property
    def view(self) -> Tensor:
        """All rows, at the positions that they have."""
        return self._part(0, self._rows, self._start, self._end)

    def append(self, new: Tensor) -> Tensor:
        """Add positions to all rows; what they have then."""
        count = new.shape[self._dim]
        if self._end + count > self._whole.shape[self._dim]:
            self._remake(len(self._whole), self._end - self._start, count)
        end = self._end + count
        self._part(0, self._rows, self._end, end).copy_(new)
        self._end = end
        return self.view

    def keep(self, moves: RowMoves) -> Tensor:
        """Drop rows, in place."""
        if moves.gaps:
            whole = self._part(0, self._rows, self._start, self._end)
            device = whole.device
            gaps, movers = torch.tensor(moves.gaps), torch.tensor(moves.movers)
            whole[gaps.to(device)] = whole[movers.to(device)]
        self._rows = len(moves.order)
        return self.view

    def join(self, new: Tensor) -> Tensor:
        """Add rows that end where the others do; what is missing at the left is 0."""
        rows, length = self._rows + len(new), new.shape[self._dim]
        if rows > len(self._whole) or length > self._end - self._start:
            self._remake(max(rows, len(self._whole)), max(length, self._end - self._start))
        begin = self._end - length
        # a mask does not help against what is no number
        self._part(self._rows, rows, self._start, begin).zero_()
        self._part(self._rows, rows, begin, self._end).copy_(new)
        self._rows = rows
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
        self._part(0, self._rows, 0, missing).zero_()
        self._part(0, self._rows, missing, length).copy_(held)
