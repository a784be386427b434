"""A call that fails leaves the model as it was; and a tokenizer may do without EOS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.paths import demo_model_path

SETTINGS = {"until": [], "do_sample": False, "max_gen_toks": 8}
ACTING = {"suppression": "peaks", "threshold_k": 0.0, "threshold_warmup": 2, "intervene_on": "all"}


def demo(**args: Any) -> L2HF:
    return L2HF("demo", device="cpu", batch_size=4, seed=1, **args)


@pytest.mark.parametrize(
    "args",
    [{}, {"decoding": "stock"}, {"decoding": "stock", "record": "off"}, ACTING],
    ids=str,
)
@pytest.mark.parametrize(
    ("request_type", "at"), [("generate_until", 1), ("generate_until", 3), ("loglikelihood", 1)]
)
def test_a_failed_call_leaves_the_model_usable(
    args: dict[str, Any],
    request_type: str,
    at: int,
    instances: Callable[..., list[Any]],
    prompts: list[str],
) -> None:
    second = SETTINGS if request_type == "generate_until" else " 12 shells"
    requests = instances(request_type, [(prompt, second) for prompt in prompts[:5]])
    score = instances("loglikelihood", [(prompts[0], " 12 shells")])
    fresh = demo(**args)
    expected = getattr(fresh, request_type)(requests), fresh.loglikelihood(score)
    lm = demo(**args)
    hooks = sum(len(module._forward_hooks) for module in lm.model.modules())
    calls = [0]

    def fail(*call: Any) -> None:
        calls[0] += 1
        if calls[0] == at:
            raise ValueError("the model failed")

    layer = lm.model.model.layers[6]
    handle = layer.register_forward_pre_hook(fail)
    with pytest.raises(ValueError, match="the model failed"):
        getattr(lm, request_type)(requests)
    handle.remove()
    assert sum(len(module._forward_hooks) for module in lm.model.modules()) == hooks
    assert (getattr(lm, request_type)(requests), lm.loglikelihood(score)) == expected
    assert lm.batch_size == 4


@pytest.fixture(scope="module")
def without_eos() -> Any:
    from l2_harness.demo.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    tokenizer.bos_token, tokenizer.eos_token = "<|endoftext|>", None  # hf cannot do without both
    return tokenizer


def test_a_tokenizer_without_eos(
    without_eos: Any, instances: Callable[..., list[Any]], prompts: list[str]
) -> None:
    """The model's own generation settings may still know what ends a response."""
    from transformers import AutoModelForCausalLM

    def lm(**args: Any) -> L2HF:
        model = AutoModelForCausalLM.from_pretrained(demo_model_path())
        return L2HF(model, device="cpu", batch_size=4, **args)

    settings = {**SETTINGS, "max_gen_toks": 40}
    requests = instances("generate_until", [(prompt, settings) for prompt in prompts[:4]])
    found = lm(tokenizer=without_eos).generate_until(requests)
    texts = [text.split("<|im_end|>")[0] for text in found]
    assert texts == lm().generate_until(requests)
    with pytest.raises(ConfigError, match="needs an EOS token"):
        lm(tokenizer=without_eos, decoding="stock").generate_until(requests)
