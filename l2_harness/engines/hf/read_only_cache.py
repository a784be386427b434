"""The cache as the first pass of a layer left it, for a second one that must not write."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer


class SeeingSlidingLayer(DynamicSlidingWindowLayer):
    """A sliding-window layer that keeps at hand what its latest ``update`` returned.

    Attention reads one position more than a full window stores. The tensor is the one that
    the stored states are a view of, so nothing is copied.
    """

    def __init__(self, layer: DynamicSlidingWindowLayer) -> None:
        super().__init__(layer.sliding_window)
        # what a prefill has stored may be less than it has seen: seen only from the next pass on
        self.__dict__.update(layer.__dict__)
        self.seen: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """As the parent's."""
        self.seen = super().update(key_states, value_states, *args, **kwargs)
        return self.seen


def seen_states(layer: Any) -> tuple[Tensor, Tensor]:
    """Keys and values that the latest ``update`` of a cache layer returned.

    Raises:
        TypeError: a kind of layer whose first pass cannot be read again.
    """
    if isinstance(layer, SeeingSlidingLayer) and layer.seen is not None:
        return layer.seen
    if isinstance(layer, DynamicLayer) and not isinstance(layer, DynamicSlidingWindowLayer):
        keys, values = layer.keys, layer.values
        assert keys is not None
        assert values is not None
        return keys, values
    raise TypeError(f"{type(layer).__name__} does not keep what its latest pass has seen")


class ReadOnlyCache(Cache):
    """Some rows of a cache; ``update`` stores nothing and returns what the first pass saw.

    A second pass of a position then attends to the first pass's keys and values, its own
    position's among them.

    Args:
        cache: of the first pass.
        rows: (m,) int64, or None for all rows.
    """

    def __init__(self, cache: Cache, rows: Tensor | None) -> None:
        super().__init__(layers=list(cache.layers))
        self._rows = rows

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """(m, heads, positions, head size) each."""
        keys, values = seen_states(self.layers[layer_idx])
        if self._rows is None:
            return keys, values
        rows = self._rows.to(keys.device)
        return keys[rows], values[rows]
