"""One model's weights for several lm-eval models, and nothing of one user left for the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from l2_harness.demo.tokenizer import chat_prompt
from l2_harness.engines.response_end import EndRule
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.hf.weight_pool import WeightPool, pooled_weights
from l2_harness.paths import demo_model_path


def l2hf(**args: Any) -> L2HF:
    return L2HF("demo", **{"device": "cpu", "dtype": "float32", **args})


@pytest.fixture
def pool() -> Iterator[WeightPool]:
    with pooled_weights() as pool:
        yield pool


def test_the_same_weights_are_one_model(pool: WeightPool) -> None:
    first = l2hf()
    assert l2hf(recursion="norm", batch_size=3).model is first.model
    assert HFLM(str(demo_model_path()), device="cpu", dtype="float32").model is first.model
    assert pool.loads == 1


@pytest.mark.parametrize("other", [{"dtype": "float64"}, {"attn_implementation": "eager"}])
def test_what_changes_weights_loads_others(pool: WeightPool, other: dict[str, Any]) -> None:
    first = l2hf()
    second = l2hf(**other)
    assert second.model is not first.model
    assert next(second.model.parameters()).dtype == getattr(torch, other.get("dtype", "float32"))
    assert pool.loads == 2
    assert l2hf(**other).model is second.model


def test_one_model_is_held_at_a_time(pool: WeightPool) -> None:
    first = l2hf()
    l2hf(dtype="float64")
    assert l2hf().model is not first.model
    assert pool.loads == 3


def test_generation_settings_are_those_of_the_files_again(pool: WeightPool) -> None:
    first = l2hf()
    before = first.model.generation_config.temperature
    first.model.generation_config.temperature = 0.123
    assert l2hf().model.generation_config.temperature == before


def test_a_hook_that_was_left_costs_another_load(
    pool: WeightPool, caplog: pytest.LogCaptureFixture
) -> None:
    first = l2hf()
    first.model.model.layers[3].register_forward_hook(lambda *args: None)
    with caplog.at_level(logging.WARNING, "l2_harness"):
        assert l2hf().model is not first.model
    assert "1 hooks were left on the model" in caplog.text


def test_interventions_leave_nothing(
    pool: WeightPool, instances: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where a run ends in the middle."""
    settings = {"until": [], "do_sample": False, "max_gen_toks": 40}
    question = "Ada has 12 shells. Ben has 7 more than Ada. How many shells does Ben have?"
    requests = instances("generate_until", [(chat_prompt(question, True), settings)])
    strong: dict[str, Any] = {"suppression": "peaks", "suppression_mode": "angle"}
    strong |= {"layers": "all", "threshold_warmup": 2}
    plain = l2hf(record="off").generate_until(requests, disable_tqdm=True)
    assert l2hf(**strong).generate_until(requests, disable_tqdm=True) != plain
    broken = l2hf(**strong)
    with monkeypatch.context() as patch:
        patch.setattr(EndRule, "reason", lambda self, tokens: 1 / (len(tokens) < 5) and None)
        with pytest.raises(ZeroDivisionError):
            broken.generate_until(requests, disable_tqdm=True)
    assert l2hf(record="off").generate_until(requests, disable_tqdm=True) == plain
    assert pool.loads == 1


def test_outside_every_model_is_its_own() -> None:
    with pooled_weights():
        inside = l2hf()
    assert l2hf().model is not inside.model
    assert l2hf().model is not l2hf().model
