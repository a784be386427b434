"""Loops of every model family against the definition, on whole texts without a cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from l2_harness.config import ConfigError
from l2_harness.config.looping import LayerBlock, LoopingConfig
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.hf.looped_model import looped_model

LOOPED = (
    "llama qwen2 qwen3 qwen3-moe mistral mixtral gemma2 gemma3 phi3 olmo2 gpt-neox gpt2 granite "
    "smollm3 glm4 deepseek-v3 qwen3-next gpt-oss bloom"
).split()
BLOCK = LayerBlock(1, 2)
LOOPS = {
    "rys": LoopingConfig("rys", BLOCK),
    "rys, three times": LoopingConfig("rys", BLOCK, loop_passes=3),
    "tflt": LoopingConfig("tflt", BLOCK),
    "tflt, longer steps": LoopingConfig("tflt", BLOCK, loop_passes=3, loop_alpha=1.5),
    "one layer": LoopingConfig("tflt", LayerBlock(2, 2)),
}


def steps(looping: LoopingConfig) -> float:
    """How much of a pass is taken, by the formulas of the two."""
    if looping.loop == "rys":
        return 1.0
    return looping.loop_alpha / looping.loop_passes


@torch.no_grad()
def by_definition(model: Any, ids: Tensor, looping: LoopingConfig) -> Tensor:
    """Logits where the block's first layer does all passes of it, and its others nothing."""
    layers = list(find_decoder_layers(model))
    assert looping.loop_layers is not None
    block = range(looping.loop_layers.first, looping.loop_layers.last + 1)
    calls: dict[int, Any] = {}
    hooks = [
        layers[i].register_forward_pre_hook(
            lambda m, args, kwargs, i=i: calls.__setitem__(i, (args[1:], kwargs)), with_kwargs=True
        )
        for i in block
    ]
    model(ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    own = {i: layers[i].forward for i in block}

    def run(i: int, x: Tensor) -> Tensor:
        args, kwargs = calls[i]
        rest = {k: v for k, v in kwargs.items() if k != "hidden_states"}
        out = own[i](x, *args, **rest)
        return out if isinstance(out, Tensor) else out[0]

    def loop(*args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else kwargs["hidden_states"]
        for _ in range(looping.loop_passes):
            y = x
            for i in block:
                y = run(i, y)
            x = x + steps(looping) * (y - x)
        return x if returns_tensor else (x,)

    def nothing(*args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else kwargs["hidden_states"]
        return x if returns_tensor else (x,)

    returns_tensor = returns[0] if (returns := _returns_tensor(model, layers[0], ids)) else True
    try:
        for i in block:
            layers[i].forward = loop if i == block[0] else nothing
        return model(ids, use_cache=False).logits
    finally:
        for i in block:
            del layers[i].forward


def _returns_tensor(model: Any, layer: Any, ids: Tensor) -> list[bool]:
    found: list[bool] = []
    hook = layer.register_forward_hook(lambda m, a, out: found.append(isinstance(out, Tensor)))
    model(ids, use_cache=False)
    hook.remove()
    return found


@pytest.fixture
def text(tokenizer: Any) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(5, len(tokenizer), (2, 19))


@torch.no_grad()
@pytest.mark.parametrize("family", LOOPED)
@pytest.mark.parametrize("name", ["rys", "tflt"])
def test_as_defined(family: str, name: str, tiny_model: Callable[..., Any], text: Tensor) -> None:
    model = tiny_model(family)
    expected = by_definition(model, text, LOOPS[name])
    found, _ = looped_model(model, LOOPS[name])
    torch.testing.assert_close(found(text, use_cache=False).logits, expected, rtol=0, atol=1e-3)
    # prompt at once, then token by token
    out = found(text[:, :11], use_cache=True)
    logits = [out.logits]
    for at in range(11, text.shape[1]):
        out = found(text[:, at : at + 1], past_key_values=out.past_key_values, use_cache=True)
        logits.append(out.logits)
    torch.testing.assert_close(torch.cat(logits, dim=1), expected, rtol=0, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", LOOPS)
def test_passes_and_steps(name: str, tiny_model: Callable[..., Any], text: Tensor) -> None:
    model = tiny_model("llama").double()
    expected = by_definition(model, text, LOOPS[name])
    found, _ = looped_model(model, LOOPS[name])
    torch.testing.assert_close(found(text).logits, expected, rtol=0, atol=1e-10)


@torch.no_grad()
def test_the_model_stays_as_it_is_and_shares_its_weights(
    tiny_model: Callable[..., Any], text: Tensor
) -> None:
    model = tiny_model("qwen3")
    before = model(text).logits
    found: Any = looped_model(model, LOOPS["rys"])[0]
    assert torch.equal(model(text).logits, before)
    assert {id(p) for p in found.parameters()} == {id(p) for p in model.parameters()}
    assert (model.config.num_hidden_layers, found.config.num_hidden_layers) == (5, 7)
    assert len(find_decoder_layers(found)) == 7
    assert not torch.allclose(found(text).logits, before, atol=1e-2)


@torch.no_grad()
def test_dose_is_of_decoded_rows(tiny_model: Callable[..., Any], text: Tensor) -> None:
    """Of RYS: block 1-2 once and twice are the outputs of layers 2 and 4 of the deeper model."""
    model = tiny_model("llama").double()
    found, dose = looped_model(model, LOOPS["rys"])
    out = found(text[:, :-1], use_cache=True)
    assert dose.as_dict() == {"rows": 0, "dose": 0.0}
    found(text[:, -1:], past_key_values=out.past_key_values)
    states = found(text, output_hidden_states=True, use_cache=False).hidden_states
    once, twice = states[3][:, -1], states[5][:, -1]
    expected = ((twice - once).norm(dim=-1) / once.norm(dim=-1)).mean()
    assert dose.as_dict() == {"rows": 2, "dose": pytest.approx(float(expected), rel=1e-6)}


def test_paths() -> None:
    assert LoopingConfig("off").path(3) == [0, 1, 2]
    assert LoopingConfig("rys").path(6) == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert LoopingConfig("tflt", LayerBlock(1, 1), 3).path(3) == [0, 1, 1, 1, 2]
    with pytest.raises(ConfigError, match="loop_layers=4-6 is no block of a model of 6"):
        LoopingConfig("rys", LayerBlock(4, 6)).path(6)


def test_what_cannot_be_looped(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model("llama")
    model.config.num_kv_shared_layers = 2
    with pytest.raises(ConfigError, match="loop= cannot repeat layers of LlamaForCausalLM: some"):
        looped_model(model, LOOPS["rys"])
