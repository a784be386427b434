"""The parts that benchmarks are made of, and one of the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from l2_harness.bench.bare_loop import recorded_passes, replay
from l2_harness.bench.parts import PartTimes
from l2_harness.bench.rounds import Ratio, alternate
from l2_harness.bench.strict import measure_strict
from l2_harness.bench.workloads import SAMPLES, greedy_demo, random_model, samples
from l2_harness.models.hf.l2hf import L2HF


def test_every_way_runs_once_a_round_and_once_before() -> None:
    ran: list[str] = []
    times = alternate({name: partial(ran.append, name) for name in "abc"}, rounds=4)
    assert ran[:3] == ["a", "b", "c"]
    for start in range(3, 15, 3):
        assert sorted(ran[start : start + 3]) == ["a", "b", "c"]
    assert {name: len(seconds) for name, seconds in times.items()} == dict.fromkeys("abc", 4)


def test_a_ratio_is_taken_within_its_round() -> None:
    """The machine was ten times slower in the last round: both sides were."""
    assert Ratio.of([1.0, 2.0, 30.0], [2.0, 4.0, 60.0]) == Ratio(0.5, 0.5, 0.5)
    assert Ratio.of([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == Ratio(2.0, 1.5, 2.5)


def test_a_part_within_a_part_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def pass_by(seconds: float) -> None:
        clock[0] += seconds

    owner = SimpleNamespace(inner=lambda: pass_by(5))

    def outer() -> None:
        pass_by(2)
        owner.inner()

    owner.outer = outer
    times = PartTimes()
    with times.watching({"outer": [(owner, "outer")], "inner": [(owner, "inner")]}):
        owner.outer()
        pass_by(3)
    assert times.seconds == {"inner": 5, "outer": 2, "everything else": 3}


def test_the_bare_loop_runs_the_same_rows() -> None:
    work = greedy_demo(6, 4)
    lm = L2HF(str(work.model), record="off", batch_size=4, device="cpu", dtype="float32")
    shapes: list[tuple[int, ...]] = []
    lm.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    with recorded_passes(lm.model) as passes:
        lm.generate_until(work.requests(lm), disable_tqdm=True)
    decoded, shapes[:] = list(shapes), []
    replay(lm.model, passes)
    assert shapes == decoded


def test_random_models_end_their_responses_anywhere(tmp_path: Any) -> None:
    from lm_eval.models.huggingface import HFLM

    model = random_model("qwen3-30m", tmp_path)
    work = samples(model, 2, 8)
    lm = HFLM(str(model), device="cpu", batch_size=8)
    requests = work.requests(lm)
    assert len(requests) == 2 * SAMPLES
    assert len(lm.tok_encode(requests[0].args[0])) == 512
    assert 25e6 < sum(p.numel() for p in lm.model.parameters()) < 35e6
    with torch.no_grad():
        logits = lm.model(torch.tensor([lm.tok_encode(requests[0].args[0])])).logits[0, -1]
    ends = logits.softmax(-1)[lm.model.generation_config.eos_token_id].sum().item()
    assert ends == pytest.approx(1 / 64, rel=0.3)


@pytest.mark.slow
def test_the_command(run_command: Callable[..., Any]) -> None:
    done = run_command(
        *["l2-harness", "bench", "interventions", "--json"],
        *["--rounds", 2, "--limit", 3, "--batch-size", 3],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert set(figures) < set(found["costs"][0]["times"])
    assert "3 of 3 responses equal" in figures["thresholds alone"]["note"]
    assert "layer calls again 0.0%" in figures["steering=norm"]["note"]
    # at two layers of twelve, beyond the first rows
    assert figures["recursion=always"]["goal"] == pytest.approx(1 + 1.15 * 2 / 12, rel=0.02)


@pytest.mark.slow
def test_decoding_and_its_rivals(run_command: Callable[..., Any]) -> None:
    done = run_command(
        *["l2-harness", "bench", "decode", "--json", "--work", "greedy", "--cpu-time"],
        *["--rounds", 2, "--limit", 4, "--batch-size", 2, "--max-new-tokens", 40],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (cost,) = found["costs"]
    rivals = ["hf", "off", "bare forward passes", "continuous batching"]
    assert [figure["name"] for figure in found["figures"]] == [
        f"recording all / {r}" for r in rivals
    ]
    assert cost["equal"] == [4, 4]
    # rows that have ended go on with hf, and with us they don't
    assert cost["rows"]["off"] <= cost["rows"]["hf"]
    assert found["figures"][0]["note"].startswith("4 of 4 responses equal, ")


@pytest.mark.slow
def test_what_strict_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deterministic kernels are on in the strict way alone, and a rerun there is the same."""
    asked: dict[bool, set[str]] = {True: set(), False: set()}
    real = L2HF.generate_until

    def noted(lm: L2HF, *args: Any, **kwargs: Any) -> Any:
        asked[torch.are_deterministic_algorithms_enabled()].add(str(lm._causal_lm.dtype))
        return real(lm, *args, **kwargs)

    monkeypatch.setattr(L2HF, "generate_until", noted)
    cost = measure_strict(2, 3, 2, "cpu", lambda text: None)
    assert asked == {True: {"torch.float32"}, False: {"torch.float32", "torch.bfloat16"}}
    assert [figure.name for figure in cost.figures] == [
        "float32, strict / float32",
        "float32, strict / bfloat16",
        "float32 / bfloat16",
    ]
    assert cost.figures[0].note == "100.0% of responses the same each time"
    assert all(figure.low is not None and figure.low > 0 for figure in cost.figures)
