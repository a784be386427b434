"""The package against the slow reference: the same states, events and counters."""

from __future__ import annotations

from typing import Any

import pytest

CASES: dict[str, dict[str, Any]] = {
    "off": {},
    "norm": {"recursion": "norm"},
    "norm, several passes": {"recursion": "norm", "recursion_max_passes": 4},
    "norm, mixed passes": {
        "recursion": "norm",
        "recursion_max_passes": 3,
        "recursion_alpha": 0.6,
        "recursion_min_growth": 0,
    },
    "always": {"recursion": "always", "recursion_max_passes": 2},
    "norm, much growth": {
        "recursion": "always",
        "recursion_max_ratio": 20,
        "recursion_min_growth": 0.5,
        "recursion_max_passes": 3,
    },
    "random recursion": {"recursion": "random", "threshold_k": 0.3},
    "entropy": {"recursion": "entropy", "recursion_entropy": 1.6},
    "entropy, mixed": {
        "recursion": "entropy",
        "recursion_alpha": 0.5,
        "recursion_max_passes": 6,
        "recursion_tolerance": 1e-3,
    },
    "blend": {"steering": "norm"},
    "add": {"steering": "norm", "steering_mode": "add", "steering_strength": 0.8},
    "low by a factor": {"steering": "norm", "steering_low": 0.7},
    "low by a quantile": {"steering": "norm", "steering_low": "q0.7", "steering_patience": 2},
    "no cooldown": {"steering": "norm", "steering_cooldown": 0, "steering_patience": 1},
    "shuffled": {"steering": "norm", "steering_source": "shuffled"},
    "gaussian": {"steering": "norm", "steering_source": "gaussian"},
    "at peaks": {"steering": "norm", "steering_trigger": "peak", "threshold_k": 0.3},
    "at peaks after suppression": {
        "steering": "norm",
        "steering_trigger": "peak",
        "suppression": "random",
        "suppression_factor": 0.9,
        "threshold_k": 0,
    },
    "at random rows for peaks": {
        "steering": "random",
        "steering_trigger": "peak",
        "steering_source": "shuffled",
        "steering_cooldown": 0,
        "threshold_k": 0,
    },
    "at jumps": {"steering": "norm", "steering_trigger": "jump", "steering_jump": 0.8},
    "at random rows for jumps": {
        "steering": "random",
        "steering_trigger": "jump",
        "steering_jump": 0.5,
    },
    "random moments": {"steering": "random"},
    "random moments, dense": {
        "steering": "random",
        "steering_patience": 1,
        "steering_cooldown": 1,
        "steering_source": "shuffled",
    },
    "scale": {"suppression": "peaks"},
    "clamp": {"suppression": "peaks", "suppression_mode": "clamp"},
    "angle": {"suppression": "peaks", "suppression_mode": "angle"},
    "angle in part": {
        "suppression": "peaks",
        "suppression_mode": "angle",
        "suppression_factor": 0.4,
    },
    "norm only": {"suppression": "peaks", "suppression_mode": "norm"},
    "norm in part": {
        "suppression": "peaks",
        "suppression_mode": "norm",
        "suppression_factor": 0.5,
    },
    "random scale": {"suppression": "random"},
    "random clamp": {"suppression": "random", "suppression_mode": "clamp"},
    "random angle": {"suppression": "random", "suppression_mode": "angle"},
    "random norm": {"suppression": "random", "suppression_mode": "norm"},
    "shuffled scale": {"suppression": "shuffled"},
    "shuffled, many peaks": {"suppression": "shuffled", "threshold_k": 0},
    "shuffled clamp": {"suppression": "shuffled", "suppression_mode": "clamp"},
    "shuffled angle": {"suppression": "shuffled", "suppression_mode": "angle"},
    "shuffled norm": {"suppression": "shuffled", "suppression_mode": "norm"},
    "fixed": {
        "threshold": "fixed",
        "threshold_values": "3:6+5:8",
        "recursion": "norm",
        "steering": "norm",
    },
    "fixed, with quantiles": {
        "threshold": "fixed",
        "threshold_values": "3:6+5:8",
        "steering": "norm",
        "steering_low": "q0.6",
        "suppression": "random",
        "suppression_mode": "norm",
    },
    "own warm-ups": {
        "recursion": "norm",
        "recursion_warmup": 20,
        "steering": "norm",
        "steering_warmup": 0,
        "suppression": "random",
    },
    "all": {"recursion": "norm", "suppression": "random", "steering": "norm"},
    "all, on peaks": {"recursion": "norm", "suppression": "peaks", "steering": "norm"},
    "all controls": {
        "recursion": "random",
        "suppression": "random",
        "steering": "random",
        "threshold_k": 0.2,
    },
    "all, on shuffled layers": {"recursion": "norm", "suppression": "shuffled", "steering": "norm"},
    "all, many passes": {
        "recursion": "always",
        "recursion_max_passes": 10,
        "recursion_min_growth": 0.01,
        "recursion_max_ratio": 7,
        "suppression": "random",
        "suppression_mode": "angle",
        "steering": "norm",
        "steering_mode": "add",
        "steering_low": "q0.8",
        "steering_patience": 2,
    },
    "rival and steering": {
        "recursion": "entropy",
        "recursion_entropy": 1.5,
        "steering": "norm",
        "suppression": "peaks",
        "suppression_mode": "clamp",
    },
}
#: What a case has to have done, lest two programs that do nothing agree.
ACTS = {"recursion": "passes_accepted", "steering": "injections", "suppression": "suppressed"}


def chunk(name: str, rows: int) -> int:
    """Most rows of a response in a pass."""
    return 1 if CASES[name].get("suppression") == "shuffled" else rows


def check(lab: Any, world: Any, args: dict[str, Any], schedule: Any, **how: Any) -> Any:
    fast = lab.run_fast(world, args, schedule, scored=how.get("scored", False))
    states, slow = lab.run_slow(world, args, **how)
    narrow = {"clamp", "norm"} & {args.get("suppression_mode")}
    lab.compare(fast, states, slow, tolerance=1e-6 if narrow else 1e-12)
    for technique, counter in ACTS.items():
        done = sum(c[counter] for r in fast.reports for c in r.counters.values())
        assert (done > 0) == (args.get(technique, "off") != "off"), technique
    return fast


@pytest.mark.parametrize("name", CASES)
def test_decoding_together(name: str, lab: Any, world: Any, lively: Any) -> None:
    check(lab, world, lively | CASES[name], lab.together(world, range(len(world.prompts))))


@pytest.mark.parametrize("name", CASES)
def test_several_positions_a_pass_in_any_order(
    name: str, lab: Any, world: Any, lively: Any
) -> None:
    check(lab, world, lively | CASES[name], lab.scrambled(world, 5, chunk(name, 4)))


@pytest.mark.parametrize("name", CASES)
def test_states_that_are_not_finite(name: str, lab: Any, broken_world: Any, lively: Any) -> None:
    fast = check(lab, broken_world, lively | CASES[name], lab.together(broken_world, range(5)))
    assert sum(c["non_finite"] for r in fast.reports for c in r.counters.values()) > 20


@pytest.mark.parametrize(
    "name", ["all", "all controls", "all, on shuffled layers", "low by a quantile", "norm in part"]
)
def test_prompt_rows_count(name: str, lab: Any, broken_world: Any, lively: Any) -> None:
    args = lively | CASES[name] | {"threshold_prompt": True}
    schedules = [
        lab.together(broken_world, range(5), with_prompt=True),
        lab.scrambled(broken_world, 5, chunk(name, 6), with_prompt=True),
    ]
    for schedule in schedules:
        check(lab, broken_world, args, schedule, with_prompt=True)


@pytest.mark.parametrize("scored", [False, True])
def test_sinks_of_the_prompt_make_no_threshold(scored: bool, lab: Any, lively: Any) -> None:
    """How large they are changes nothing, nor in what parts a prompt comes."""
    args = lively | CASES["scale"] | {"threshold_prompt": True, "threshold_warmup": 4}
    events = []
    for size in (1e3, 1e5):
        world = lab.World.make(seed=2)
        for r, prompt in enumerate(world.prompts):
            world.inputs[r, [0, *range(4, prompt - 1, 5)]] *= size
        for schedule in (
            lab.together(world, range(5), with_prompt=True),
            lab.scrambled(world, 5, 6, with_prompt=True),
        ):
            fast = check(lab, world, args, schedule, scored=scored, with_prompt=True)
            events.append([report.events for report in fast.reports])
    assert all(found == events[0] for found in events)


@pytest.mark.parametrize(
    "name", ["all", "all controls", "all, on shuffled layers", "low by a quantile", "norm in part"]
)
def test_scored_continuations(name: str, lab: Any, lively: Any) -> None:
    """Whole sequences in one pass: the threshold is the context's, and row 0 may be edited."""
    world = lab.World.make(seed=1)
    n = len(world.prompts)
    world.inputs[n - 1, world.prompts[n - 1] - 1] *= 5
    args = lively | CASES[name] | {"threshold_warmup": 4}
    whole = [[(r, range(world.last(r))) for r in range(n)]]
    fast = check(lab, world, args, whole, scored=True, with_prompt=True)
    at_row_zero = [
        event.kind for report in fast.reports for event in report.events if not event.row
    ]
    assert ("suppression" in at_row_zero) == (args.get("suppression") == "peaks")


@pytest.mark.parametrize(
    "name",
    ["all", "all controls", "all, on shuffled layers", "norm, several passes", "norm in part"],
)
def test_pooled(name: str, lab: Any, world: Any, lively: Any) -> None:
    """All rows of a pass enter, then all are judged. Few rows: the sketch is then exact."""
    args = lively | CASES[name] | {"threshold_scope": "pooled", "threshold_warmup": 30}
    schedule = list(lab.together(world, range(len(world.prompts))))[:40]
    fast = lab.run_fast(world, args, schedule)
    states, slow = slow_pooled(lab, world, args, schedule)
    lab.compare(fast, states, slow, tolerance=1e-6)
    assert sum(len(report.events) for report in fast.reports) > 3


def slow_pooled(lab: Any, world: Any, args: Any, schedule: Any) -> Any:
    """The layers' outputs depend on each other through the pool: one layer at a time."""
    from l2_harness.config import read_interventions

    reference = lab.load_reference()
    pool = reference.Pool()
    settings = read_interventions(args).as_dict()
    slow = [
        reference.ReferenceResponse(
            settings,
            reference.key_of(7, f"prompt {r}", r),
            world.prompts[r],
            pool=pool,
            layers=lab.LAYERS,
        )
        for r in range(len(world.prompts))
    ]
    states: dict[Any, Any] = {}
    for rows in schedule:
        pool.rows += len(rows)
        hidden = {(r, p): world.inputs[r, p] for r, (p,) in rows}
        for layer in (*lab.LAYERS, lab.TOP):
            hidden = slow_pooled_layer(lab, world, slow, hidden, layer)
            states |= {(r, p, layer): h.numpy() for (r, p), h in hidden.items()}
    return states, slow


def slow_pooled_layer(lab: Any, world: Any, slow: Any, hidden: Any, layer: int) -> Any:
    import torch

    def run(h: Any, r: int, p: int) -> Any:
        return world.layer(layer, h[None], (torch.tensor([r]), torch.tensor([p])))[0]

    outputs = {(r, p): run(h, r, p) for (r, p), h in hidden.items()}
    if layer == lab.TOP:
        return outputs
    for (r, _), h in outputs.items():
        slow[r].take_norm(layer, h.numpy())
    return {
        (r, p): torch.from_numpy(
            slow[r].step(
                layer,
                p - world.prompts[r] + 1,
                h.numpy(),
                lambda x, r=r, p=p: run(torch.from_numpy(x), r, p).numpy(),
                enter=False,
            )
        )
        for (r, p), h in outputs.items()
    }
