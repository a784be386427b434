"""Keys and values written in place, where transformers copies the whole cache at each step."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from l2_harness.engines.hf.read_only_cache import SeeingSlidingLayer
from l2_harness.engines.hf.row_buffer import RowBuffer, RowMoves

_POSITIONS = -2  # of states (rows, heads, positions, head size)


class GrowingLayer(DynamicLayer):
    """A :class:`DynamicLayer` whose ``keys`` and ``values`` are views of buffers with room.

    It holds and returns what a DynamicLayer does; only the copies are fewer: one when a
    buffer is full, in place of one a step.
    """

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.__dict__.update(layer.__dict__)  # whatever a layer holds in this transformers
        self._buffers: tuple[RowBuffer, RowBuffer] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append (rows, heads, positions, head size) states; all states so far come back."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if not self.get_seq_length():
            self._hold(key_states, value_states)
        else:
            keys, values = self._held()
            self.keys, self.values = keys.append(key_states), values.append(value_states)
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Rows ``beam_idx`` of the cache, of which several may be one."""
        super().reorder_cache(beam_idx)  # type: ignore[arg-type]
        self._buffers = None

    def keep_rows(self, moves: RowMoves) -> None:
        """Move the last rows to where others are dropped, in place."""
        keys, values = self._held()
        self.keys, self.values = keys.keep(moves), values.keep(moves)

    def join(self, keys: Tensor, values: Tensor) -> None:
        """Add rows (rows, heads, positions, head size) that end where these do."""
        own_keys, own_values = self._held()
        self.keys, self.values = own_keys.join(keys), own_values.join(values)

    def drop_left(self, count: int) -> None:
        """Forget the first positions."""
        keys, values = self._held()
        self.keys, self.values = keys.drop_left(count), values.drop_left(count)

    def _held(self) -> tuple[RowBuffer, RowBuffer]:
        if self._buffers is None:
            assert self.keys is not None
            assert self.values is not None
            self._hold(self.keys, self.values)
        assert self._buffers is not None
        return self._buffers

    def _hold(self, keys: Tensor, values: Tensor) -> None:
        self._buffers = RowBuffer(keys, _POSITIONS), RowBuffer(values, _POSITIONS)
        self.keys, self.values = (buffer.view for buffer in self._buffers)


def make_growing(cache: DynamicCache) -> None:
    """Let the plain layers of ``cache`` grow in place, and its sliding ones be read again."""
    cache.layers = [_own_layer(layer) for layer in cache.layers]


def _own_layer(layer: Any) -> Any:
    if type(layer) is DynamicLayer:
        return GrowingLayer(layer)
    return SeeingSlidingLayer(layer) if type(layer) is DynamicSlidingWindowLayer else layer
