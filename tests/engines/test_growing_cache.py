"""The growing cache beside transformers' own, which it must equal after any operations."""

from __future__ import annotations

import copy
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from l2_harness.engines.hf.cache_rows import keep_rows
from l2_harness.engines.hf.growing_cache import GrowingLayer, make_growing
from l2_harness.engines.hf.read_only_cache import SeeingSlidingLayer
from l2_harness.engines.hf.row_buffer import RowMoves

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), st.integers(1, 3)),
        st.tuples(st.just("rows"), st.lists(st.integers(0, 9), min_size=1, max_size=5)),
        st.tuples(st.just("copy"), st.just(0)),
    ),
    max_size=14,
)


def states(rows: int, positions: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 2, positions, 4, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=60)
@given(OPERATIONS, st.booleans())
def test_equals_a_dynamic_layer(operations: list[tuple[str, object]], prefilled: bool) -> None:
    theirs: Any = DynamicLayer()
    rows = 3
    if prefilled:
        theirs.update(states(rows, 90, 1), states(rows, 90, 2))
    ours: Any = GrowingLayer(copy.deepcopy(theirs))
    for number, (kind, value) in enumerate(operations):
        if kind == "update":
            assert isinstance(value, int)
            new = states(rows, value, 10 + number), states(rows, value, 30 + number)
            for a, b in zip(theirs.update(*new), ours.update(*new), strict=True):
                assert torch.equal(a, b)
        elif kind == "rows":
            assert isinstance(value, list)
            if not theirs.get_seq_length():
                continue
            index = torch.tensor([v % rows for v in value])
            rows = len(index)
            theirs.reorder_cache(index)
            ours.reorder_cache(index)
        else:
            ours = copy.deepcopy(ours)
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert ours.get_mask_sizes(1) == theirs.get_mask_sizes(1)
        if theirs.get_seq_length():
            assert torch.equal(ours.keys, theirs.keys)
            assert torch.equal(ours.values, theirs.values)


@given(st.sets(st.integers(0, 9), min_size=1))
def test_moves_keep_every_row_once(kept: set[int]) -> None:
    moves = RowMoves(sorted(kept))
    assert sorted(moves.order.tolist()) == sorted(kept)
    n = len(kept)
    moved = sum(new != old for new, old in enumerate(moves.order.tolist()))
    assert moved == sum(row >= n for row in kept)


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 7), min_size=1), max_size=4))
def test_rows_dropped_in_place(drops: list[set[int]]) -> None:
    ours: Any = DynamicCache()
    theirs: Any = DynamicCache()
    for cache in (ours, theirs):
        cache.layers = [DynamicLayer(), DynamicSlidingWindowLayer(4)]
    make_growing(ours)
    rows = 8
    for number, drop in enumerate([set(range(8)), *drops]):
        kept = sorted(row for row in drop if row < rows) or [0]
        moves = RowMoves(kept)
        if ours.get_seq_length():
            keep_rows(ours, moves)
            theirs.reorder_cache(moves.order)
            rows = len(kept)
        for layer in range(2):
            new = states(rows, 6, number + 9 * layer), states(rows, 6, number + 50)
            for a, b in zip(ours.update(*new, layer), theirs.update(*new, layer), strict=True):
                assert torch.equal(a, b)


def test_what_was_returned_stays_as_it_was() -> None:
    layer = GrowingLayer(DynamicLayer())
    first, _ = layer.update(states(2, 5, 0), states(2, 5, 1))
    before = first.clone()
    for step in range(100):
        layer.update(states(2, 1, step), states(2, 1, step))
    assert torch.equal(first, before)


def test_a_copy_is_independent() -> None:
    layer: Any = GrowingLayer(DynamicLayer())
    layer.update(states(2, 5, 0), states(2, 5, 1))
    other = copy.deepcopy(layer)
    layer.update(states(2, 1, 2), states(2, 1, 3))
    other.update(states(2, 1, 4), states(2, 1, 5))
    assert torch.equal(layer.keys[..., 5:, :], states(2, 1, 2))
    assert torch.equal(other.keys[..., 5:, :], states(2, 1, 4))


def test_layers_are_replaced_by_kind() -> None:
    cache = DynamicCache()
    cache.layers = [DynamicLayer(), DynamicSlidingWindowLayer(4)]
    make_growing(cache)
    assert [type(layer) for layer in cache.layers] == [GrowingLayer, SeeingSlidingLayer]
