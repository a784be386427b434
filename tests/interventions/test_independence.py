"""A response depends on itself alone: not on neighbours, order, slots, passes or replays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

EVERYTHING: dict[str, dict[str, Any]] = {
    "techniques": {"recursion": "norm", "suppression": "peaks", "steering": "norm"},
    "controls": {
        "recursion": "random",
        "suppression": "random",
        "suppression_mode": "angle",
        "steering": "random",
        "steering_source": "gaussian",
        "threshold_k": 0.5,
    },
    "quantiles": {
        "suppression": "random",
        "suppression_mode": "norm",
        "steering": "norm",
        "steering_low": "q0.7",
        "steering_source": "shuffled",
    },
    "shuffled": {"suppression": "shuffled", "steering": "norm", "threshold_k": 0.5},
    "rival": {"recursion": "entropy", "recursion_entropy": 1.5, "steering": "norm"},
}


@pytest.fixture(params=EVERYTHING)
def args(request: pytest.FixtureRequest, lively: dict[str, Any]) -> dict[str, Any]:
    return lively | EVERYTHING[request.param]


def _same(one: Any, other: Any, chosen: Any = None) -> None:
    """Bit for bit the same states, and the same reports, of the chosen responses."""
    indices = range(len(one.reports)) if chosen is None else chosen
    for where, state in other.states.items():
        if where[0] in indices:
            assert torch.equal(one.states[where], state), where
    for index, report in zip(indices, other.reports, strict=True):
        assert one.reports[index] == report


def test_acts(args: Any, lab: Any, world: Any) -> None:
    fast = lab.run_fast(world, args, lab.together(world, range(5)))
    assert {e.kind for report in fast.reports for e in report.events} >= (
        {"entropy", "injection"}
        if args.get("recursion") == "entropy"
        else {"suppression", "injection"}
    )


def test_alone_or_together(args: Any, lab: Any, world: Any) -> None:
    """Others that end earlier or later change nothing."""
    whole = lab.run_fast(world, args, lab.together(world, range(5)))
    for chosen in ([0], [4], [1, 3]):
        slots = {r: i for i, r in enumerate(chosen)}
        part = lab.run_fast(world, args, lab.together(world, chosen), slots=slots)
        _same(whole, part, chosen)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_any_number_a_pass(args: Any, lab: Any, world: Any, seed: int) -> None:
    whole = lab.run_fast(world, args, lab.together(world, range(5)))
    _same(whole, lab.run_fast(world, args, lab.scrambled(world, seed)))
    if args.get("suppression") != "shuffled":  # which needs the rows one by one
        _same(whole, lab.run_fast(world, args, lab.scrambled(world, seed, chunk=7)))


def test_any_slots(args: Any, lab: Any, world: Any) -> None:
    whole = lab.run_fast(world, args, lab.together(world, range(5)))
    slots = dict(enumerate([6, 0, 3, 1, 8]))
    other = lab.run_fast(world, args, lab.scrambled(world, 9), slots=slots)
    _same(whole, other)


def test_rows_of_a_response_interleaved_in_a_pass(args: Any, lab: Any, world: Any) -> None:
    """Only the order within a response counts."""
    whole = lab.run_fast(world, args, lab.together(world, range(5)))
    schedule = []
    most = 1 if args.get("suppression") == "shuffled" else 4
    for rows in lab.scrambled(world, 3, chunk=most):
        flat = [(r, [p]) for r, positions in rows for p in positions]
        schedule.append(sorted(flat, key=lambda item: (item[1][0] - world.prompts[item[0]], item)))
    _same(whole, lab.run_fast(world, args, schedule))


@pytest.mark.parametrize("with_prompt", [False, True])
def test_replay_from_the_prompt(args: Any, lab: Any, world: Any, with_prompt: bool) -> None:
    """A preempted response comes again from its first position: the same edits, counted once."""
    args = args | {"threshold_prompt": with_prompt}
    whole = lab.run_fast(world, args, lab.together(world, range(5), with_prompt))
    schedule: list[Any] = []
    for step, rows in enumerate(lab.together(world, range(5), with_prompt)):
        schedule.append(rows)
        if step in (20, 45):
            done = world.prompts[1] + step
            schedule += [[(1, range(0, 8))], [(1, range(8, done)), (2, [])]]
    replayed = lab.run_fast(world, args, schedule)
    _same(whole, lab.Outcome({k: replayed.states[k] for k in whole.states}, replayed.reports))


def test_a_slot_is_used_again(args: Any, lab: Any, world: Any) -> None:
    """The next response in a slot finds nothing of the one before."""
    from l2_harness.config import read_interventions
    from l2_harness.interventions import InterventionRun

    whole = lab.run_fast(world, args, lab.together(world, range(5)))
    pipeline = InterventionRun(read_interventions(args), lab.LAYERS).pipeline(n_slots=2)
    for r in range(5):
        slot = r % 2
        pipeline.start(slot, world.response(r))
        for position in range(world.prompts[r] - 1, world.last(r)):
            pipeline.begin_pass(np.array([slot]), np.array([position]))
            where = torch.tensor([r]), torch.tensor([position])
            for key, state in lab.run_pass(world, pipeline, where).items():
                assert torch.equal(state, whole.states[key]), key
        assert pipeline.reports([slot]) == [whole.reports[r]]


def test_pooled_replay_counts_once(lab: Any, world: Any, lively: Any) -> None:
    """In scope pooled a replayed row does not enter the pool a second time."""
    args = lively | {"threshold_scope": "pooled", "suppression": "peaks"}
    plain = [[(1, [p])] for p in range(world.prompts[1] - 1, world.last(1))]
    cut = 30
    again = [*plain[:cut], [(1, range(0, world.prompts[1] - 1 + cut))], *plain[cut:]]
    once, twice = (lab.run_fast(world, args, s, slots={1: 0}) for s in (plain, again))
    late = {k: v for k, v in once.states.items() if k[1] >= world.prompts[1] - 1 + cut}
    for where, state in late.items():
        assert torch.equal(twice.states[where], state)


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ([[(0, [5])]], "no row may be left out"),
        ([[(0, [2])], [(0, [4])]], "no row may be left out"),
        ([[(0, [2, 4])]], "come in order, without gaps"),
        ([[(0, [3, 2])]], "come in order, without gaps"),
        ([[(0, range(2, 9))], [(0, [5])]], "no row may be left out, and a replay starts at 2"),
        ([[(0, [-1])]], "come in order, without gaps"),
        ([[(1, [2])]], "a response in each slot"),
    ],
)
def test_positions_that_do_not_follow_are_refused(passes: Any, message: str) -> None:
    from l2_harness.config import read_interventions
    from l2_harness.interventions import InterventionRun, Response

    run = InterventionRun(read_interventions({"recursion": "norm"}), (3,))
    pipeline = run.pipeline([Response(1, prompt_tokens=3)], n_slots=2)
    flat = [[(s, p) for s, positions in rows for p in positions] for rows in passes]
    for rows in flat[:-1]:
        pipeline.begin_pass(np.array([s for s, _ in rows]), np.array([p for _, p in rows]))
    with pytest.raises(ValueError, match=message):
        pipeline.begin_pass(np.array([s for s, _ in flat[-1]]), np.array([p for _, p in flat[-1]]))
