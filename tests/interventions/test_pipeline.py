"""What a pipeline promises an engine, beyond the reference's results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from l2_harness.config import read_interventions
from l2_harness.interventions import InterventionRun, InterventionTotals, Response, stream_key
from l2_harness.interventions import bank as bank_module
from l2_harness.interventions import steering as steering_module
from l2_harness.interventions.reports import told

#: One for each layer of the world that has no model.
LAYERS = (3, 5)
NOTHING = [
    {},
    {"recursion": "norm", "recursion_alpha": 0, "recursion_max_passes": 3},
    {"recursion": "always", "recursion_alpha": 0},
    {"recursion": "entropy", "recursion_alpha": 0, "recursion_entropy": 0},
    {"steering": "norm", "steering_strength": 0},
    {"steering": "norm", "steering_strength": 0, "steering_mode": "add"},
    {"suppression": "peaks", "suppression_factor": 1},
    {"suppression": "random", "suppression_factor": 1},
    {"suppression": "shuffled", "suppression_factor": 1},
    {"suppression": "peaks", "suppression_factor": 1, "suppression_mode": "angle"},
    {"suppression": "peaks", "suppression_factor": 1, "suppression_mode": "norm"},
]


@pytest.mark.parametrize("args", NOTHING, ids=str)
def test_strengths_that_are_equal_to_off(args: dict[str, Any], lab: Any, lively: Any) -> None:
    """Bit for bit, the sign of a zero included, although the technique acts."""
    world = lab.World.make()
    world.inputs[:, ::3, 0] = -0.0
    off = lab.run_fast(world, {}, lab.together(world, range(5)))
    found = lab.run_fast(world, lively | args, lab.together(world, range(5)))
    for where, state in off.states.items():
        assert torch.equal(found.states[where].view(torch.int64), state.view(torch.int64))
    assert bool(args) == any(report.events for report in found.reports)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize(
    "args",
    [
        {"recursion": "always", "recursion_alpha": 0.5, "recursion_min_growth": 0},
        {"steering": "norm", "steering_source": "gaussian"},
        {"steering": "norm", "steering_source": "shuffled", "steering_mode": "add"},
        *({"suppression": "peaks", "suppression_mode": m} for m in ("clamp", "angle", "norm")),
        {"suppression": "random"},
        {"suppression": "shuffled"},
    ],
    ids=str,
)
def test_edits_keep_the_type(dtype: torch.dtype, args: Any, lab: Any, lively: Any) -> None:
    """And come close to what float64 gives, as far as both decide alike."""
    world = lab.World.make(seed=2, n=2, rows=80)
    exact = lab.run_fast(world, lively | args, lab.together(world, range(2)))
    world.inputs, world.bias = world.inputs.to(dtype), world.bias.to(dtype)
    found = lab.run_fast(world, lively | args, lab.together(world, range(2)))
    assert sum(len(report.events) for report in found.reports) > 5
    close = 0
    for where, state in found.states.items():
        assert state.dtype == dtype
        difference = (state.double() - exact.states[where]).norm() / exact.states[where].norm()
        close += bool(difference < 40 * torch.finfo(dtype).eps)
    assert close > 0.8 * len(found.states)


def test_nothing_to_edit_gives_the_very_tensor_back(lab: Any, world: Any) -> None:
    """In warm-up, at the prompt, and where no gate opens; and no layer runs again there."""
    args = {"recursion": "norm", "steering": "norm", "suppression": "peaks"}
    pipeline = InterventionRun(read_interventions(args), (3,)).pipeline([world.response(0)])

    def never(states: Tensor, which: Tensor) -> Tensor:
        raise AssertionError("ran again")

    for position in range(world.prompts[0] - 1, world.prompts[0] + 30):
        pipeline.begin_pass(np.array([0]), np.array([position]))
        hidden = world.inputs[0, position : position + 1]
        assert pipeline.layer(3, hidden, never) is hidden
    run = InterventionRun(read_interventions({"recursion": "norm"}), (3,))
    pipeline = run.pipeline([Response(1, 2)])
    for position in range(1, 80):
        pipeline.begin_pass(np.array([0]), np.array([position]))
        hidden = torch.ones(1, 4)  # a constant norm has no peaks
        assert pipeline.layer(3, hidden, never) is hidden


def test_prompt_rows_are_left_alone_where_they_do_not_count(lab: Any, world: Any) -> None:
    """An engine may hand over the whole prompt or only its last row."""
    args = lab.LIVELY | {"recursion": "norm", "suppression": "random", "steering": "norm"}
    short = lab.run_fast(world, args, lab.together(world, range(5)))
    long = lab.run_fast(world, args, lab.together(world, range(5), with_prompt=True))
    assert long.reports == short.reports
    for where, state in short.states.items():
        assert torch.equal(long.states[where], state)


def test_misuse_is_refused(world: Any) -> None:
    run = InterventionRun(read_interventions({"recursion": "always"}), (3,))
    pipeline = run.pipeline([world.response(0)])
    hidden = world.inputs[0, :1]
    with pytest.raises(RuntimeError, match="without a pass"):
        pipeline.layer(3, hidden)
    pipeline.begin_pass(np.array([0]), np.array([2]))
    with pytest.raises(ValueError, match="expected are the layers 3 and 1 rows"):
        pipeline.layer(3, world.inputs[0, :2])
    with pytest.raises(ValueError, match="expected are the layers 3"):
        pipeline.layer(4, hidden)
    pipeline.layer(3, hidden)
    with pytest.raises(RuntimeError, match="twice in one"):
        pipeline.layer(3, hidden)
    for position in range(3, 34):
        pipeline.begin_pass(np.array([0]), np.array([position]))
        pipeline.layer(3, hidden)
    pipeline.begin_pass(np.array([0]), np.array([34]))
    with pytest.raises(ValueError, match="needs run_again"):
        pipeline.layer(3, hidden)
    with pytest.raises(ValueError, match="need a value for each layer"):
        InterventionRun(
            read_interventions({"threshold": "fixed", "threshold_values": "3:1"}), (3,), {}
        )
    with pytest.raises(ValueError, match="slots are 0 to 0"):
        pipeline.start(1, world.response(0))


def test_rows_are_counted_at_the_layers_that_saw_them(world: Any) -> None:
    pipeline = InterventionRun(read_interventions({}), (3, 5)).pipeline([world.response(0)])
    for position in range(2, 12):
        pipeline.begin_pass(np.array([0]), np.array([position]))
        pipeline.layer(3, world.inputs[0, :1])
        if position != 6:
            pipeline.layer(5, world.inputs[0, :1])
    (report,) = pipeline.reports()
    assert [report.counters[layer]["rows"] for layer in (3, 5)] == [10, 9]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_runs_in_inference_mode(mode: Callable[[], Any], lab: Any, world: Any) -> None:
    """And a pool that was begun in one mode goes on in another."""
    args = lab.LIVELY | {"recursion": "norm", "suppression": "random", "steering": "norm"}
    plain = lab.run_fast(world, args, lab.together(world, range(5)))
    with mode():
        found = lab.run_fast(world, args, lab.together(world, range(5)))
    assert found.reports == plain.reports
    run = InterventionRun(read_interventions(args | {"threshold_scope": "pooled"}), (3,))
    for context in (mode, torch.enable_grad):
        with context():
            pipeline = run.pipeline([Response(1, 1)])
            for position in range(30):
                pipeline.begin_pass(np.array([0]), np.array([position]))
                pipeline.layer(3, torch.randn(1, 4), lambda states, which: states)


def test_no_gradient_is_kept(world: Any) -> None:
    pipeline = InterventionRun(read_interventions({}), (3,)).pipeline([Response(1, 1)])
    pipeline.begin_pass(np.array([0]), np.array([0]))
    hidden = torch.randn(1, 4, requires_grad=True)
    assert pipeline.layer(3, hidden) is hidden
    assert not pipeline._layers[3]._threshold._statistics._running._sorted.requires_grad  # type: ignore[union-attr]


# -- what a step costs ----------------------------------------------------------------------------


class _Syncs(TorchDispatchMode):
    """Counts operations for which the host waits for an accelerator."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(a, Tensor) and a.dtype == torch.bool
            for a in (args[1] if isinstance(args[1], (list, tuple)) else [])
        )
        if by_mask or name in ("_local_scalar_dense", "nonzero", "masked_select", "equal"):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Reading a value is not free; counts tensors that the host reads."""
    read: Counter[str] = Counter()
    for module in (bank_module, steering_module):
        monkeypatch.setattr(module, "reading_is_free", lambda device: False)
    for name in ("numpy", "item", "tolist", "__bool__", "__int__", "__float__"):
        original = getattr(Tensor, name)

        def counting(self: Tensor, *args: Any, _do: Any = original, _name: str = name) -> Any:
            read[_name] += 1
            return _do(self, *args)

        monkeypatch.setattr(Tensor, name, counting)
    return read


@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        ({}, 0),
        ({"threshold_scope": "pooled"}, 0),
        ({"threshold_prompt": True}, 0),
        ({"steering": "norm"}, 0),
        ({"steering": "random", "steering_source": "gaussian", "steering_low": "q0.6"}, 0),
        ({"suppression": "peaks", "suppression_mode": "norm"}, 0),
        ({"suppression": "random", "suppression_mode": "angle"}, 0),
        ({"suppression": "shuffled"}, 0),
        ({"recursion": "norm"}, 1),
        ({"recursion": "random", "steering": "norm", "suppression": "random"}, 1),
    ],
    ids=str,
)
def test_host_synchronisations(
    args: Any, allowed: int, lab: Any, lively: Any, as_on_an_accelerator: Counter[str]
) -> None:
    """At most one a layer and step, and that only for recursion."""
    n, rows = 6, 40
    config = read_interventions(lively | args)
    pipeline = InterventionRun(config, LAYERS).pipeline([Response(i, 1) for i in range(n)])
    states = torch.randn(rows, n, 8) * torch.randn(rows, n, 1).exp() + 1
    worst = 0
    for step in range(rows):
        pipeline.begin_pass(np.arange(n), np.full(n, step))
        for layer in LAYERS:
            as_on_an_accelerator.clear()
            with _Syncs() as syncs:
                pipeline.layer(layer, states[step].roll(layer, 0), lambda h, which: h * 1.5)
            worst = max(worst, syncs.found.total() + as_on_an_accelerator.total())
    assert worst == allowed
    if config.enabled:
        assert any(report.events for report in pipeline.reports())


@pytest.mark.parametrize(
    "args",
    [
        {"steering": "norm"},
        {"steering": "random", "steering_source": "shuffled"},
        {"recursion": "norm", "steering": "norm", "suppression": "random"},
    ],
    ids=str,
)
def test_masked_and_chosen_rows_give_the_same(
    args: Any, lab: Any, broken_world: Any, lively: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where reading is free, rows that are not ready are not looked at; else they are masked."""
    schedule = list(lab.together(broken_world, range(5)))
    chosen = lab.run_fast(broken_world, lively | args, schedule)
    for module in (bank_module, steering_module):
        monkeypatch.setattr(module, "reading_is_free", lambda device: False)
    masked = lab.run_fast(broken_world, lively | args, schedule)
    assert masked.reports == chosen.reports
    for where, state in chosen.states.items():
        torch.testing.assert_close(masked.states[where], state, rtol=0, atol=0, equal_nan=True)


# -- reports --------------------------------------------------------------------------------------


def test_reports_may_be_read_in_between(lab: Any, world: Any, lively: Any) -> None:
    """What was read stays known, and long logs are the same as short ones."""
    args = lively | {"recursion": "norm", "steering": "norm", "suppression": "random"}
    whole = lab.run_fast(world, args, lab.together(world, range(5)))
    pipeline = InterventionRun(read_interventions(args), lab.LAYERS).pipeline(
        [world.response(r) for r in range(5)]
    )
    seen = 0
    for rows in lab.together(world, range(5)):
        flat = [(r, p) for r, positions in rows for p in positions]
        pipeline.begin_pass(np.array([r for r, _ in flat]), np.array([p for _, p in flat]))
        lab.run_pass(world, pipeline, tuple(torch.tensor(flat).unbind(1)))
        now = len(pipeline.reports([2])[0].events)
        assert now >= seen
        seen = now
    assert pipeline.reports() == whole.reports


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("many", [2, 256])
def test_one_finished_response_is_read_out_and_its_slot_goes_on(
    many: int, late: bool, lab: Any, world: Any, lively: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an engine does that fills a slot again at once, and asks at once or when all are over:
    two slots, five responses.
    """
    monkeypatch.setattr("l2_harness.interventions.step_log._MANY", many)
    args = lively | {"recursion": "norm", "steering": "norm", "suppression": "random"}
    together = lab.run_fast(world, args, lab.together(world, range(5)))
    pipeline = InterventionRun(read_interventions(args), lab.LAYERS).pipeline(n_slots=2)
    waiting = [4, 3, 2, 1, 0]
    running: dict[int, tuple[int, int]] = {}
    found = {}
    while waiting or running:
        for slot in {0, 1} - running.keys():
            if waiting:
                running[slot] = (r := waiting.pop(), world.prompts[r] - 1)
                pipeline.start(slot, world.response(r))
        slots = sorted(running)
        where = tuple(torch.tensor([running[slot] for slot in slots]).unbind(1))
        pipeline.begin_pass(np.array(slots), where[1].numpy())
        lab.run_pass(world, pipeline, where)
        for slot in slots:
            r, position = running[slot]
            running[slot] = (r, position + 1)
            if position + 1 == world.last(r):
                report = pipeline.finish(slot)
                found[r] = report if late else (lambda told: lambda: told)(report())
                del running[slot]
                assert not pipeline.reports([slot])[0].events
    assert [found[r]() for r in range(5)] == together.reports


def test_a_slot_whose_response_is_over_takes_no_rows(lab: Any, world: Any, lively: Any) -> None:
    """Not even the one that would have followed, which the pipeline expected."""
    pipeline = InterventionRun(read_interventions(lively), lab.LAYERS).pipeline([world.response(0)])
    first = world.prompts[0] - 1
    for position in range(first, first + 3):
        pipeline.begin_pass(np.array([0]), np.array([position]))
        lab.run_pass(world, pipeline, tuple(torch.tensor([[0, position]]).unbind(1)))
    pipeline.finish(0)
    with pytest.raises(ValueError, match="a response in each slot"):
        pipeline.begin_pass(np.array([0]), np.array([first + 3]))


def test_what_an_engine_ran_too_far_is_cut(lab: Any, lively: Any) -> None:
    """A report of some rows more than are kept is the report of those that are kept."""
    world = lab.World.make()
    args = lively | {"recursion": "norm", "suppression": "peaks"}
    longer = lab.run_fast(world, args, lab.together(world, range(5))).reports
    world.lengths = [length - 7 for length in world.lengths]
    shorter = lab.run_fast(world, args, lab.together(world, range(5))).reports
    assert [report.cut(n) for report, n in zip(longer, world.lengths, strict=True)] == shorter
    assert longer != shorter
    for report, kept, length in zip(longer, shorter, world.lengths, strict=True):
        assert told(report, length) == told(kept, length)
    with pytest.raises(RuntimeError, match="handed over"):
        told(shorter[0], world.lengths[0] + 1)


def test_totals(lab: Any, world: Any, lively: Any) -> None:
    args = lively | {"recursion": "norm", "steering": "norm"}
    reports = lab.run_fast(world, args, lab.together(world, range(5))).reports
    parts = [InterventionTotals(), InterventionTotals()]
    for i, report in enumerate(reports):
        parts[i % 2].add(report.counters)
    totals = InterventionTotals.merged(parts)
    found = totals.as_dict()
    assert found["responses"] == 5
    for name, number in found["all_layers"].items():
        assert number == sum(c[name] for r in reports for c in r.counters.values())
        assert number == sum(c[name] for c in found["layers"].values())
    injections = found["all_layers"]["injections"]
    assert injections > 0
    assert found["acted_on"]["steering"] == sum(
        any(event.kind == "injection" for event in report.events) for report in reports
    )
    assert f"injections {injections}" in totals.line()
    assert totals.line().startswith("interventions on 5 responses: rows")


def test_events_fit_the_trace(lab: Any, world: Any, lively: Any) -> None:
    from l2_harness.norms import trace_checks

    args = lively | {"recursion": "norm", "steering": "norm", "suppression": "peaks"}
    reports = lab.run_fast(world, args, lab.together(world, range(5))).reports
    assert sum(len(report.events) for report in reports) > 20
    for r, report in enumerate(reports):
        for event in report.events:
            assert trace_checks.event(event, world.lengths[r] + 1) == event


def test_stream_keys_differ() -> None:
    keys = {stream_key(s, p, i) for s in (0, 1) for p in ("a", "b") for i in (0, 1)}
    assert len(keys) == 8
