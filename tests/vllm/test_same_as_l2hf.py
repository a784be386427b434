"""Responses, rows, events and counters of ``l2vllm`` against those of ``l2hf``, greedy, float32."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.vllm.l2vllm import L2VLLM

GREEDY = {"until": [], "max_gen_toks": 72, "do_sample": False}
ENGINE = {"dtype": "float32", "max_model_len": 384, "enforce_eager": True}
LIVELY = {"threshold_warmup": 8, "recursion_min_growth": 0.0}
STEERED = {"steering_patience": 3, "steering_probability": 1.0, "steering_cooldown": 4}
CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "all layers": {"layers": "all"},
    "coe": {"coe": True, "layers": "all"},
    "norm": {"recursion": "norm"},
    "norm, mixed passes": {
        "recursion": "norm",
        "recursion_max_passes": 3,
        "recursion_alpha": 0.6,
        "recursion_max_ratio": 9,
    },
    "always": {"recursion": "always"},
    "random recursion": {"recursion": "random"},
    "entropy": {"recursion": "entropy", "recursion_entropy": 0.2},
    "blend": {"steering": "norm", **STEERED},
    "add": {"steering": "norm", "steering_mode": "add", **STEERED},
    "shuffled bank": {"steering": "norm", "steering_source": "shuffled", **STEERED},
    "gaussian": {"steering": "norm", "steering_source": "gaussian", **STEERED},
    "random moments": {"steering": "random", **STEERED},
    "scale": {"suppression": "peaks"},
    "clamp": {"suppression": "peaks", "suppression_mode": "clamp"},
    "angle": {"suppression": "peaks", "suppression_mode": "angle"},
    "random suppression": {"suppression": "random"},
    "other layers": {"suppression": "shuffled"},
    "the prompt counts": {"suppression": "peaks", "threshold_prompt": True},
    "pooled": {"suppression": "peaks", "threshold_scope": "pooled"},
    "all": {"recursion": "norm", "steering": "norm", "suppression": "peaks", **STEERED},
    "all random": {"recursion": "random", "steering": "random", "suppression": "random"},
}


def assert_same(ours: Any, theirs: Any) -> None:
    assert ours.texts == theirs.texts
    for name in ("tokens", "finish_reason", "prompt_tokens", "thinking_end", "prompt_hash"):
        assert list(map(str, ours.traces[name])) == list(map(str, theirs.traces[name])), name
    for a, b in zip(ours.traces.norms, theirs.traces.norms, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for name in ("logprob", "entropy", "self_certainty"):
        for a, b in zip(ours.traces[name], theirs.traces[name], strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)
    assert places(ours) == places(theirs)
    # sums of float32 numbers, added up in another order
    assert counters(ours) == pytest.approx(counters(theirs), rel=1e-3)


def places(came: Any) -> list[Any]:
    return [
        [(event["row"], event["layer"], event["kind"]) for event in events]
        for events in came.traces.events
    ]


def counters(came: Any) -> dict[str, float]:
    found: dict[str, float] = came.info.get("interventions", {}).get("all_layers", {})
    return found


@pytest.mark.parametrize("case", CASES)
def test_on_the_embedded_model(
    case: str, run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any
) -> None:
    args = {**(LIVELY if "coe" not in CASES[case] else {}), **CASES[case]}
    # of a pooled threshold the order of the responses is a part: one at a time
    n = 1 if case == "pooled" else 8
    prompts = demo_prompts(n)
    theirs = run(L2HF, prompts, GREEDY, dtype="float32", device="cpu", batch_size=8, **args)
    ours = run(L2VLLM, prompts, GREEDY, **ENGINE, **args)
    assert_same(ours, theirs)
    if case == "coe":
        for a, b in zip(ours.traces.scores, theirs.traces.scores, strict=True):
            assert dict(a) == pytest.approx(dict(b), rel=1e-4)
    elif ours.info.get("interventions"):
        acted = ours.info["interventions"]["acted_on"]
        assert any(acted.values()), "nothing was done, so that nothing was compared"


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "qwen3-moe"])
def test_on_random_models(
    family: str,
    run: Callable[..., Any],
    prompts: list[str],
    pool: Any,
    model_folder: Callable[..., Any],
) -> None:
    changes = {"head_dim": 32} if family in ("gemma3", "qwen3-moe") else {}
    args = {
        "pretrained": str(model_folder(family, **changes)),
        "layers": "1+2+4",
        "recursion": "norm",
        "suppression": "peaks",
        "threshold_k": 0.3,
        "threshold_warmup": 3,
        "recursion_max_ratio": 4,
        "recursion_min_growth": 0.0,
    }
    gen = {**GREEDY, "max_gen_toks": 40}
    theirs = run(L2HF, prompts, gen, dtype="float32", device="cpu", batch_size=7, **args)
    ours = run(L2VLLM, prompts, gen, **ENGINE, **args)
    assert_same(ours, theirs)
    assert counters(ours)["passes_accepted"]
    assert counters(ours)["suppressed"]
