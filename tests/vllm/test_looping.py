"""``loop=`` of ``l2vllm`` against ``l2hf``'s: the same deeper model."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.vllm.l2vllm import L2VLLM
from l2_harness.paths import demo_model_path

GREEDY = {"until": [], "max_gen_toks": 40, "do_sample": False}
ENGINE = {"dtype": "float32", "max_model_len": 384, "enforce_eager": True}
CASES: dict[str, dict[str, Any]] = {
    "rys": {"loop": "rys", "loop_layers": "4-5", "layers": "all"},
    "three times": {"loop": "rys", "loop_layers": "3", "loop_passes": 3, "layers": "all"},
    "tflt": {"loop": "tflt", "layers": "all"},
    "tflt, suppressed": {
        "loop": "tflt",
        "loop_alpha": 0.5,
        "suppression": "peaks",
        "threshold_warmup": 8,
    },
}


def assert_same(ours: Any, theirs: Any) -> None:
    assert ours.texts == theirs.texts
    for a, b in zip(ours.traces.norms, theirs.traces.norms, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert ours.info["decoder_layers"] == theirs.info["decoder_layers"]
    assert ours.info["loop"] == pytest.approx(theirs.info["loop"], rel=1e-4)
    assert ours.info["loop"]["dose"] > 0


@pytest.mark.parametrize("case", CASES)
def test_on_the_embedded_model(
    case: str, run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any
) -> None:
    prompts, args = demo_prompts(6), CASES[case]
    theirs = run(L2HF, prompts, GREEDY, dtype="float32", device="cpu", batch_size=8, **args)
    ours = run(L2VLLM, prompts, GREEDY, **ENGINE, **args)
    assert_same(ours, theirs)
    plain = run(L2VLLM, prompts, GREEDY, **ENGINE)
    assert plain.texts != ours.texts
    assert "loop" not in plain.info


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "qwen3-moe"])
def test_on_other_families(
    family: str,
    model_folder: Callable[..., Path],
    run: Callable[..., Any],
    prompts: list[str],
    pool: Any,
) -> None:
    changes = {"head_dim": 32} if family in ("gemma3", "qwen3-moe") else {}
    args = {"pretrained": str(model_folder(family, **changes)), "loop": "tflt", "layers": "all"}
    theirs = run(L2HF, prompts[:4], GREEDY, dtype="float32", device="cpu", batch_size=8, **args)
    ours = run(L2VLLM, prompts[:4], GREEDY, **ENGINE, **args)
    assert_same(ours, theirs)


def test_with_an_adapter(
    run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any, tmp_path: Path
) -> None:
    base = AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32)
    # so strong that every response becomes another
    weights = LoraConfig(r=8, lora_alpha=320, init_lora_weights=False, target_modules=["q_proj"])
    torch.manual_seed(0)
    get_peft_model(base, weights).save_pretrained(str(tmp_path))
    prompts, args = demo_prompts(4), {"loop": "tflt", "layers": "all"}
    stock = {"dtype": "float32", "device": "cpu", "batch_size": 8}
    theirs = run(L2HF, prompts, GREEDY, peft=str(tmp_path), **stock, **args)
    assert_same(
        run(L2VLLM, prompts, GREEDY, lora_local_path=str(tmp_path), **ENGINE, **args), theirs
    )
    assert not set(theirs.texts) & set(run(L2HF, prompts, GREEDY, **stock, **args).texts)


@pytest.mark.slow
def test_compiled(run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any) -> None:
    prompts, args = demo_prompts(4), CASES["tflt"]
    theirs = run(L2HF, prompts, GREEDY, dtype="float32", device="cpu", batch_size=8, **args)
    assert_same(run(L2VLLM, prompts, GREEDY, **{**ENGINE, "enforce_eager": False}, **args), theirs)


def test_a_block_beyond_the_model() -> None:
    with pytest.raises(ConfigError, match="loop_layers=40-41 is no block of a model of"):
        L2VLLM("demo", loop="rys", loop_layers="40-41", **ENGINE)
