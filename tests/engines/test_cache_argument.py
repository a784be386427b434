"""The cache's name, which transformers changes and models of one's own keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

from l2_harness.config import ConfigError
from l2_harness.engines.hf.cache_argument import GENERATE_CACHE, cache_argument
from l2_harness.engines.hf.rerun_check import check_rerun


def test_of_a_function() -> None:
    def old(input_ids: Any, past_key_values: Any = None, **kwargs: Any) -> None: ...

    def new(input_ids: Any, cache: Any = None, **kwargs: Any) -> None: ...

    def both(input_ids: Any, past_key_values: Any = None, cache: Any = None) -> None: ...

    assert [cache_argument(f) for f in (old, new, both)] == ["past_key_values", "cache", "cache"]
    with pytest.raises(TypeError, match=r"<lambda> takes no cache"):
        cache_argument(lambda states: states)


@pytest.mark.parametrize("family", ["llama", "gpt-neox", "gpt2", "ctrl", "bloom"])
def test_models_take_what_generate_keeps(tiny_model: Callable[..., Any], family: str) -> None:
    """Their layers may call it otherwise: GPT-NeoX, Bloom and CTRL keep layer_past."""
    model = tiny_model(family)
    assert cache_argument(model.forward) == GENERATE_CACHE
    held: list[Any] = []

    class Watching(type(model)):  # type: ignore[misc]
        def prepare_inputs_for_generation(self, *args: Any, **kwargs: Any) -> Any:
            held.append(kwargs[GENERATE_CACHE])
            return super().prepare_inputs_for_generation(*args, **kwargs)

    model.__class__ = Watching
    import torch

    model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=2, do_sample=False)
    assert held[-1].get_seq_length() == 4


def test_recursion_refuses_a_model_without_a_cache() -> None:
    model = OpenAIGPTLMHeadModel(OpenAIGPTConfig(vocab_size=20, n_embd=8, n_layer=2, n_head=2))
    with pytest.raises(ConfigError, match=r"OpenAIGPTLMHeadModel\.forward takes no cache"):
        check_rerun(model, dict(enumerate(model.transformer.h)))
