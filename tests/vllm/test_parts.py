"""The parts that need no vLLM: which rows a pass has, what travels, what is built in."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2_harness.engines.vllm.graph_plan import CONFIG_KEY, GraphPlan
from l2_harness.engines.vllm.orders import END, Order
from l2_harness.engines.vllm.residual_stream import put_stream, stream
from l2_harness.engines.vllm.row_log import RowLog, RowsByResponse
from l2_harness.engines.vllm.slots import Slots
from l2_harness.engines.vllm.step_rows import NEVER, Step
from l2_harness.engines.vllm.wire import packed, unpacked
from l2_harness.interventions import Response
from l2_harness.interventions.edit_plans import RecordedEdits

CPU = torch.device("cpu")
small = st.integers(0, 6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), small, small, small, st.booleans()), min_size=1))
def test_rows_between_positions(requests: list[tuple[int, int, int, int, bool]]) -> None:
    counts = np.array([count for count, *_ in requests])
    firsts = np.array([first for _, first, *_ in requests])
    floors = np.array([NEVER if never else low for *_, low, _, never in requests])
    ceilings = np.array([low + more for *_, low, more, _ in requests])
    starts = np.cumsum(counts) - counts
    step = Step([str(i) for i in range(len(requests))], starts, counts, firsts, CPU)
    rows = step.between(floors, ceilings)
    expected, index = [], 0
    for i, (count, first, low, more, never) in enumerate(requests):
        for position in range(first, first + count):
            if not never and low <= position < low + more:
                expected.append((index, i, position))
            index += 1
    found = zip(rows.index, rows.requests, rows.positions, strict=True)
    assert [tuple(map(int, row)) for row in found] == expected
    everything = torch.arange(index)
    assert everything[rows.where].tolist() == [i for i, *_ in expected]
    last = step.last
    assert everything[last.where].tolist() == (starts + counts - 1).tolist()
    odd = last.take(last.requests % 2 == 1)
    assert everything[odd.where].tolist() == (starts + counts - 1)[1::2].tolist()


@pytest.mark.parametrize("recorded", [None, {("recursion", 3): np.array([4, 9])}])
def test_an_order_travels(recorded: Any) -> None:
    edits = None if recorded is None else RecordedEdits(12, recorded)
    order = Order(7, 5, END, [1, 2], Response(2**64 - 1, 6, True, edits), trial=True)
    found = Order.read(json.loads(json.dumps(order.as_extra_args())))
    assert found is not None
    assert (found.key, found.first, found.end, found.tokens) == (7, 5, END, [1, 2])
    assert found.acting is not None
    assert (found.acting.key, found.acting.prompt_tokens) == (2**64 - 1, 6)
    assert found.trial
    assert found.acting.scored
    if recorded is not None:
        assert found.acting.recorded is not None
        rows = found.acting.recorded.rows
        assert {key: own.tolist() for key, own in rows.items()} == {("recursion", 3): [4, 9]}
    assert Order.read({"another": 1}) is None
    assert Order.read(None) is None


def test_a_message_travels() -> None:
    arrays: dict[str, np.ndarray] = {
        "norms": np.arange(6, dtype=np.float32).reshape(2, 3),
        "none": np.empty(0),
    }
    header, found = unpacked(packed({"a": [1, None]}, arrays))
    assert header == {"a": [1, None]}
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_layers_that_are_run_again_are_tried_on_the_state_before_them() -> None:
    plan = GraphPlan.of((4, 5), (4, 5), (4, 5))
    assert plan.visits == (3, 4, 5)
    assert GraphPlan.of((0,), (), (0,)).visits == (-1, 0)
    assert GraphPlan.read({CONFIG_KEY: json.loads(json.dumps(plan.as_dict()))}) == plan
    assert plan.serves(GraphPlan((4, 5)))
    assert not GraphPlan((4, 5)).serves(plan)
    assert not plan.serves(GraphPlan((5,)))
    assert GraphPlan((4, 5), (1,)).and_also(plan).serves(plan)


def rows_of(log: RowLog, keys: list[int], positions: list[int]) -> None:
    values = torch.tensor(positions, dtype=torch.float32)
    logits = torch.stack([values, 0 * values], dim=1)
    tokens = torch.ones(len(keys), dtype=torch.int64)
    log.add(keys, np.array(positions), torch.stack([values, -values]), logits, tokens)


def test_rows_come_together_whatever_comes_between() -> None:
    log, found = RowLog(), RowsByResponse()
    rows_of(log, [1, 2], [5, 0])
    rows_of(log, [2, 1], [1, 6])
    found.add(log.take())
    found.add(log.take())  # nothing new
    rows_of(log, [1, 2, 1], [7, 2, 8])  # one row more than the response has
    found.add(log.take())
    rows = found.take(1, 5, 3, {"score": 2.0})
    assert rows.norms.tolist() == [[5, -5], [6, -6], [7, -7]]
    assert rows.signals["logprob"] == pytest.approx([-math.log1p(math.exp(n)) for n in (5, 6, 7)])
    assert rows.scores == {"score": 2.0}
    with pytest.raises(RuntimeError, match="at position 3"):
        found.take(2, 0, 4, {})


def test_places_are_given_once() -> None:
    slots = Slots(2)
    a, b = slots.occupy(), slots.occupy()
    assert {a, b} == {0, 1}
    with pytest.raises(RuntimeError, match="max_num_seqs"):
        slots.occupy()
    slots.free(a)
    assert slots.occupy() == a


@pytest.mark.parametrize("apart", [True, False])
def test_only_rows_that_change_are_written(apart: bool) -> None:
    hidden = torch.randn(4, 3)
    residual = torch.randn(4, 3) if apart else None
    before_hidden = hidden.clone()
    before = stream(hidden, residual).clone()
    rows = torch.tensor([1, 3])
    after = before[rows].clone()
    after[1] = 7.0
    put_stream(hidden, residual, rows, before[rows], after)
    assert torch.equal(stream(hidden, residual)[3], after[1])
    assert torch.equal(stream(hidden, residual)[:3], before[:3])
    assert torch.equal(hidden[:3], before_hidden[:3])
