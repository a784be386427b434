"""Rows of a cache dropped and added while it is in use.

Rows end at the same position, the newest token's, so that a shorter one has padding on its left:
zeros, which the attention mask leaves out. Distances, and so sliding windows, are then the same in
every row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import DynamicCache, LinearAttentionLayer

from l2_harness.engines.hf.growing_cache import GrowingLayer
from l2_harness.engines.hf.read_only_cache import SeeingSlidingLayer
from l2_harness.engines.hf.row_buffer import RowMoves


def can_join(cache: DynamicCache) -> bool:
    """Whether rows can be added: all layers are of kinds that this module knows."""
    return all(
        isinstance(layer, (GrowingLayer, SeeingSlidingLayer)) or type(layer) is LinearAttentionLayer
        for layer in cache.layers
    )


def keep_rows(cache: DynamicCache, moves: RowMoves) -> None:
    """Drop rows of every layer of ``cache``."""
    for layer in cache.layers:
        if isinstance(layer, GrowingLayer):
            layer.keep_rows(moves)
        else:
            layer.reorder_cache(moves.order)  # type: ignore[arg-type]


def join_rows(cache: DynamicCache, other: DynamicCache, index: Tensor) -> None:
    """Add rows ``index``: (rows,) int64 of another cache, of which several may be one."""
    pairs: Iterable[tuple[Any, Any]] = zip(cache.layers, other.layers, strict=True)
    for layer, new in pairs:
        if isinstance(layer, GrowingLayer):
            layer.join(_rows(new.keys, index), _rows(new.values, index))
        elif isinstance(layer, SeeingSlidingLayer):
            _join_sliding(layer, new, index)
        else:
            _join_linear(layer, new, index)


def drop_left(cache: DynamicCache, count: int) -> None:
    """Forget the first positions, where no row has anything but padding."""
    layers: Iterable[Any] = cache.layers
    for layer in layers:
        if isinstance(layer, GrowingLayer):
            layer.drop_left(count)
        elif isinstance(layer, SeeingSlidingLayer):
            layer.cumulative_length -= count
            keys, values = cast("tuple[Tensor, Tensor]", (layer.keys, layer.values))
            _store(layer, keys, values)


def _join_sliding(layer: Any, new: Any, index: Tensor) -> None:
    layer.cumulative_length = max(layer.cumulative_length, new.cumulative_length)
    width = max(layer.keys.shape[-2], new.keys.shape[-2])
    keys = (layer.keys, _rows(new.keys, index))
    values = (layer.values, _rows(new.values, index))
    _store(layer, *(torch.cat([_wide(part, width) for part in both]) for both in (keys, values)))


def _store(layer: Any, keys: Tensor, values: Tensor) -> None:
    """As much as the window of so long a cache holds."""
    length = min(layer.cumulative_length, layer.sliding_window - 1)
    layer.keys = keys.narrow(-2, keys.shape[-2] - length, length)
    layer.values = values.narrow(-2, values.shape[-2] - length, length)
    layer.seen = None


def _join_linear(layer: Any, new: Any, index: Tensor) -> None:
    for states, added in (
        (layer.conv_states, new.conv_states),
        (layer.recurrent_states, new.recurrent_states),
    ):
        for number, state in states.items():
            if state is not None:
                states[number] = torch.cat([state, _rows(added[number], index)])


def _rows(states: Tensor, index: Tensor) -> Tensor:
    return states.index_select(0, index.to(states.device))


def _wide(states: Tensor, positions: int) -> Tensor:
    """(rows, heads, positions, head size) with zeros on the left."""
    return pad(states, (0, 0, positions - states.shape[-2], 0))
