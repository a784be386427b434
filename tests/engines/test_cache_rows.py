"""Rows that join a cache and leave it, beside caches of one row each that are put together anew."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import pad
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from l2_harness.engines.hf.cache_rows import drop_left, join_rows, keep_rows
from l2_harness.engines.hf.growing_cache import make_growing
from l2_harness.engines.hf.row_buffer import RowMoves

WINDOW = 7
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.lists(st.integers(1, 12), min_size=1, max_size=3)),
        st.tuples(st.just("keep"), st.sets(st.integers(0, 5), min_size=1)),
        st.tuples(st.just("steps"), st.integers(1, 90)),
    ),
    max_size=9,
)


def cache_of(states: list[torch.Tensor], own: bool) -> DynamicCache:
    """A prefill of prompts (heads, positions, size) of these lengths, padded on the left."""
    width = max(one.shape[1] for one in states)
    batch = torch.stack([pad(one, (0, 0, width - one.shape[1], 0)) for one in states])
    cache: Any = DynamicCache()
    cache.layers = [DynamicLayer(), DynamicSlidingWindowLayer(WINDOW)]
    for layer in range(2):
        cache.update(batch, -batch, layer)
    if own:
        make_growing(cache)
    return cache


@settings(deadline=None, max_examples=80)
@given(OPERATIONS)
def test_equals_rows_that_were_always_together(operations: list[tuple[str, Any]]) -> None:
    rng = torch.Generator().manual_seed(0)
    rows = [torch.randn(2, 9, 4, generator=rng)]
    cache: Any = cache_of(rows, own=True)
    for kind, value in operations:
        if kind == "join":
            new = [torch.randn(2, length, 4, generator=rng) for length in value]
            index = torch.arange(len(new)).flip(0)
            join_rows(cache, cache_of(new, own=True), index)
            rows += new[::-1]
        elif kind == "keep":
            kept = sorted(row for row in value if row < len(rows)) or [0]
            moves = RowMoves(kept)
            keep_rows(cache, moves)
            rows = [rows[row] for row in moves.order.tolist()]
            longest = max(row.shape[1] for row in rows)
            drop_left(cache, cache.get_seq_length() - longest)
        else:
            for _ in range(value):
                token = torch.randn(len(rows), 2, 1, 4, generator=rng)
                for layer in range(2):
                    cache.update(token, -token, layer)
                rows = [torch.cat([row, new], 1) for row, new in zip(rows, token, strict=True)]
    expected: Any = cache_of(rows, own=False)
    extra = cache.get_seq_length() - expected.get_seq_length()
    drop_left(cache, extra)
    token = torch.ones(len(rows), 2, 1, 4)
    for layer in range(2):
        assert cache.get_mask_sizes(1, layer) == expected.get_mask_sizes(1, layer)
        for found, wanted in zip(
            cache.update(token, -token, layer), expected.update(token, -token, layer), strict=True
        ):
            assert torch.equal(found, wanted)
