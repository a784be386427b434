"""A world without a model: responses of random states, two layers, and a way to run both the
package and the slow reference over them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2_harness.config import read_interventions
from l2_harness.interventions import InterventionRun, Response, ResponseReport, stream_key

LAYERS = (3, 5)
TOP = 7
WIDTH = 8
#: Settings under which every technique acts within a hundred rows.
LIVELY: dict[str, Any] = {
    "threshold_warmup": 8,
    "recursion_max_ratio": 3,
    "recursion_min_growth": 0.05,
    "steering_patience": 4,
    "steering_cooldown": 5,
    "steering_probability": 0.6,
    "steering_bank": 3,
    "steering_min_cosine": 0.1,
}

Positions = Sequence[int]
Schedule = Iterable[Sequence[tuple[int, Positions]]]


def load_reference() -> ModuleType:
    path = Path(__file__).with_name("reference.py")
    spec = importlib.util.spec_from_file_location("interventions_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class World:
    """Responses r of ``prompts[r] - 1 + lengths[r]`` positions; inputs: (r, position, width).

    A layer is made of single operations on coordinates, so that a row's result does not depend
    on the rows beside it by a single bit.
    """

    prompts: list[int]
    lengths: list[int]
    inputs: Tensor
    bias: Tensor
    fragile: Tensor

    @classmethod
    def make(cls, seed: int = 0, n: int = 5, rows: int = 70, broken: bool = False) -> World:
        g = torch.Generator().manual_seed(seed)
        prompts = [3 + 4 * r for r in range(n)]
        lengths = [rows - 9 * r for r in range(n)]
        shape = n, max(prompts) + rows, WIDTH
        # Directions wander around one of the response's own, so that cosines vary too.
        main = torch.randn(n, 1, WIDTH, generator=g, dtype=torch.float64)
        states = main + torch.randn(*shape, generator=g, dtype=torch.float64)
        size = (0.5 * torch.randn(*shape[:2], 1, generator=g, dtype=torch.float64)).exp()
        inputs = states * size
        if broken:
            hit = torch.rand(*shape[:2], generator=g) < 0.06
            inputs[hit] = torch.tensor([torch.nan, torch.inf, 1e200, 1e30] * 2).double()
        bias = 0.3 * torch.randn(*shape, generator=g, dtype=torch.float64)
        fragile = torch.rand(*shape[:2], 1, generator=g) < (0.4 if broken else 0)
        return cls(prompts, lengths, inputs, bias, fragile)

    def layer(self, layer: int, states: Tensor, where: tuple[Tensor, Tensor]) -> Tensor:
        """A layer whose outputs are larger than its inputs, by an amount that varies."""
        bias, fragile = self.bias[where], self.fragile[where]
        turned = states.roll(layer, -1)
        out = states * (1.1 + 0.5 * bias.abs()) + turned / (1 + turned.abs()) + bias
        return torch.where(fragile & (states.abs() > 4), torch.nan, out)

    def log_probs(self, states: Tensor, where: tuple[Tensor, Tensor]) -> Tensor:
        scores = states / (1 + states.abs()) * 3 + self.bias[where]
        scores = torch.cat([scores, torch.full_like(scores[:, :1], -torch.inf)], 1)
        return torch.log_softmax(scores, -1)

    def response(self, r: int, scored: bool = False) -> Response:
        return Response(stream_key(7, f"prompt {r}", r), self.prompts[r], scored)

    def last(self, r: int) -> int:
        return self.prompts[r] - 1 + self.lengths[r]


@dataclass
class Outcome:
    """States after each layer by (response, position, layer), and a report a response."""

    states: dict[tuple[int, int, int], Tensor]
    reports: list[ResponseReport]


def together(world: World, chosen: Sequence[int], with_prompt: bool = False) -> Schedule:
    """As an engine decodes a batch: the prompts first, then a row of each that goes on."""
    first = [0 if with_prompt else world.prompts[r] - 1 for r in chosen]
    yield [(r, range(f, world.prompts[r])) for r, f in zip(chosen, first, strict=True)]
    for step in range(max(world.lengths[r] for r in chosen)):
        rows = [(r, [world.prompts[r] + step]) for r in chosen]
        rows = [(r, p) for r, p in rows if p[0] < world.last(r)]
        if rows:
            yield rows


def scrambled(world: World, seed: int, chunk: int = 1, with_prompt: bool = False) -> Schedule:
    """Some of the responses in any order, several positions of one in a pass now and then."""
    rng = np.random.default_rng(seed)
    at = [0 if with_prompt else p - 1 for p in world.prompts]
    while any(at[r] < world.last(r) for r in range(len(at))):
        alive = [r for r in range(len(at)) if at[r] < world.last(r)]
        rows: list[tuple[int, Positions]] = []
        for r in rng.permutation(alive)[: rng.integers(1, len(alive) + 1)].tolist():
            end = min(at[r] + int(rng.integers(1, chunk + 1)), world.last(r))
            rows.append((r, range(at[r], end)))
            at[r] = end
        yield rows


def run_fast(
    world: World,
    args: dict[str, Any],
    schedule: Schedule,
    scored: bool = False,
    shuffle_rows: bool = False,
    slots: dict[int, int] | None = None,
) -> Outcome:
    config = read_interventions(args)
    values = config.threshold.threshold_values
    run = InterventionRun(config, LAYERS, values.of_layers(LAYERS) if values else None)
    slots = slots or {r: r for r in range(len(world.prompts))}
    pipeline = run.pipeline(n_slots=max(slots.values()) + 1)
    for r, slot in slots.items():
        pipeline.start(slot, world.response(r, scored))
    states: dict[Any, Any] = {}
    for rows in schedule:
        flat = [(r, p) for r, positions in rows for p in positions]
        where = tuple(torch.tensor(flat).unbind(1))
        pipeline.begin_pass(np.array([slots[r] for r, _ in flat]), np.array([p for _, p in flat]))
        for (r, p, layer), state in run_pass(world, pipeline, where).items():
            states[r, p, layer] = state
    reports = pipeline.reports(list(slots.values()))
    return Outcome(states, reports)


def run_pass(world: World, pipeline: Any, where: Any) -> dict[tuple[int, int, int], Tensor]:
    """One forward pass through both layers and the top."""
    states: dict[Any, Any] = {}
    hidden = world.inputs[where]

    def again(layer: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda h, which: world.layer(layer, h, (where[0][which], where[1][which]))

    def log_probs(h: Tensor, which: Tensor) -> Tensor:
        return world.log_probs(h, (where[0][which], where[1][which]))

    for layer in (*LAYERS, TOP):
        output = world.layer(layer, hidden, where)
        before = output.clone()
        if layer == TOP:
            hidden = pipeline.top(TOP, output, again(TOP), log_probs)
        else:
            hidden = pipeline.layer(layer, output, again(layer))
        torch.testing.assert_close(output, before, rtol=0, atol=0, equal_nan=True)
        for i, (r, p) in enumerate(zip(*where, strict=True)):
            states[int(r), int(p), layer] = hidden[i]
    return states


def run_slow(
    world: World,
    args: dict[str, Any],
    scored: bool = False,
    with_prompt: bool = False,
) -> tuple[dict[tuple[int, int, int], np.ndarray], list[Any]]:
    """The reference: one response after the other, one row after the other."""
    reference = load_reference()
    settings = read_interventions(args).as_dict()
    states: dict[Any, Any] = {}
    responses = []
    for r in range(len(world.prompts)):
        key = reference.key_of(7, f"prompt {r}", r)
        response = reference.ReferenceResponse(
            settings, key, world.prompts[r], scored, layers=LAYERS
        )
        for position in range(0 if with_prompt else world.prompts[r] - 1, world.last(r)):
            states |= slow_row(world, response, r, position)
        responses.append(response)
    return states, responses


def slow_row(
    world: World, response: Any, r: int, position: int, enter: bool = True
) -> dict[tuple[int, int, int], np.ndarray]:
    where = torch.tensor([r]), torch.tensor([position])
    row = position - world.prompts[r] + 1

    def run(layer: int, h: np.ndarray) -> np.ndarray:
        return world.layer(layer, torch.from_numpy(h)[None], where)[0].numpy()

    def log_probs(h: np.ndarray) -> np.ndarray:
        return world.log_probs(torch.from_numpy(h)[None], where)[0].numpy()

    hidden = world.inputs[r, position].numpy()
    states: dict[Any, Any] = {}
    for layer in (*LAYERS, TOP):
        hidden = run(layer, hidden)
        if row < 0:
            if layer != TOP:
                response.context_row(layer, hidden)
        elif layer == TOP:
            hidden = response.top(TOP, row, hidden, lambda h: run(TOP, h), log_probs)
        else:
            hidden = response.step(layer, row, hidden, lambda h, i=layer: run(i, h), enter)
        states[r, position, layer] = hidden
    return states


def compare(fast: Outcome, slow_states: Any, slow: Sequence[Any], tolerance: float = 1e-12) -> None:
    """The same states, events and counters.

    ``tolerance`` is relative to a state's largest coordinate. A state that is scaled by a
    threshold, which is a float32, is as close as that allows.
    """
    assert fast.states.keys() == slow_states.keys()
    for where, state in fast.states.items():
        expected = slow_states[where]
        size = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        np.testing.assert_allclose(
            state.numpy(), expected, rtol=0, atol=tolerance * size, err_msg=str(where)
        )
    for report, response in zip(fast.reports, slow, strict=True):
        compare_events(report, response.events)
        for layer, counters in report.counters.items():
            response.finish(layer)
            expected = {name: response.counters[layer][name] for name in counters}
            assert counters == pytest.approx(expected, rel=1e-5, abs=1e-6), layer
            sums = ("_change", "_dose", "_growth")
            whole = {name for name in counters if not name.endswith(sums)}
            assert all(counters[name] == expected[name] for name in whole), layer


def compare_events(report: ResponseReport, expected: list[tuple[Any, ...]]) -> None:
    import json

    order = {"recursion": 0, "entropy": 0, "suppression": 1, "injection": 2}
    mine = [
        (e.row, e.layer, order[e.kind], e.kind, e.value, *json.loads(e.detail or "").values())
        for e in report.events
    ]
    theirs = [(row, layer, order[k], k, v, *more) for row, layer, k, v, more in expected]
    mine.sort(key=lambda e: e[:3])
    theirs.sort(key=lambda e: e[:3])
    assert [e[:4] for e in mine] == [e[:4] for e in theirs]
    for got, wanted in zip(mine, theirs, strict=True):
        # how much a state changed is a difference of nearly equal ones
        assert got[4:] == pytest.approx(wanted[4:], rel=1e-5, abs=1e-6)


@pytest.fixture(scope="session")
def lively() -> dict[str, Any]:
    """Settings under which every technique acts within a hundred rows."""
    return dict(LIVELY)


@pytest.fixture(scope="session")
def world() -> World:
    return World.make()


@pytest.fixture(scope="session")
def broken_world() -> World:
    """States and results of second passes that are not finite now and then."""
    return World.make(seed=3, broken=True)


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """This file: the functions above, for tests that need several of them."""
    import sys

    return sys.modules[__name__]
