"""Keys and values written in place, where transformers copies the whole cache at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from l2_harness.engines.hf.read_only_cache import SeeingSlidingLayer

#: A buffer that is full gets room for this many more positions, or a share of its length.
_ROOM = 64
_ROOM_SHARE = 8


class GrowingLayer(DynamicLayer):
    """A :class:`DynamicLayer` whose ``keys`` and ``values`` are views of buffers with room.

    It holds and returns what a DynamicLayer does; only the copies are fewer: one when a
    buffer is full, in place of one a step.
    """

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.__dict__.update(layer.__dict__)  # whatever a layer holds in this transformers
        self._key_buffer: Tensor | None = None
        self._value_buffer: Tensor | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append (rows, heads, positions, head size) states; all states so far come back."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        self._key_buffer = _with_room(self._key_buffer, self.keys, key_states, end)
        self._value_buffer = _with_room(self._value_buffer, self.values, value_states, end)
        self._key_buffer[..., start:end, :] = key_states
        self._value_buffer[..., start:end, :] = value_states
        self.keys = self._key_buffer[..., :end, :]
        self.values = self._value_buffer[..., :end, :]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Rows ``beam_idx`` of the cache, of which several may be one."""
        super().reorder_cache(beam_idx)  # type: ignore[arg-type]
        self._key_buffer = self._value_buffer = None

    def keep_rows(self, moves: RowMoves) -> None:
        """Move the last rows to where others are dropped, in place."""
        if self._key_buffer is None or self._value_buffer is None:
            self.reorder_cache(moves.order)
            return
        end = self.get_seq_length()
        self._key_buffer = moves.apply(self._key_buffer, end)
        self._value_buffer = moves.apply(self._value_buffer, end)
        self.keys = self._key_buffer[..., :end, :]
        self.values = self._value_buffer[..., :end, :]


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
        self._gaps, self._movers = torch.tensor(gaps), torch.tensor(movers)

    def apply(self, buffer: Tensor, end: int) -> Tensor:
        """The rows of ``buffer`` in the new order, of which ``end`` positions count."""
        if len(self._gaps):
            gaps, movers = self._gaps.to(buffer.device), self._movers.to(buffer.device)
            buffer[gaps, :, :end] = buffer[movers, :, :end]
        return buffer[: len(self.order)]


def make_growing(cache: DynamicCache) -> None:
    """Let the plain layers of ``cache`` grow in place, and its sliding ones be read again."""
    cache.layers = [_own_layer(layer) for layer in cache.layers]


def _own_layer(layer: Any) -> Any:
    if type(layer) is DynamicLayer:
        return GrowingLayer(layer)
    return SeeingSlidingLayer(layer) if type(layer) is DynamicSlidingWindowLayer else layer


def keep_rows(cache: DynamicCache, moves: RowMoves) -> None:
    """Drop rows of every layer of ``cache``."""
    for layer in cache.layers:
        if isinstance(layer, GrowingLayer):
            layer.keep_rows(moves)
        else:
            layer.reorder_cache(moves.order)  # type: ignore[arg-type]


def _with_room(buffer: Tensor | None, held: Tensor | None, new: Tensor, end: int) -> Tensor:
    """A buffer of at least ``end`` positions that begins with what is held."""
    if buffer is not None and buffer.shape[-2] >= end:
        return buffer
    room = max(_ROOM, end // _ROOM_SHARE)
    grown = new.new_empty(*new.shape[:-2], end + room, new.shape[-1])
    if held is not None and held.numel():
        grown[..., : held.shape[-2], :] = held
    return grown
