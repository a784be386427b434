from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedConfig

from l2_harness.config import ConfigError
from l2_harness.engines.decoder_layers import find_decoder_layers, number_of_layers
from l2_harness.engines.final_norm import find_final_norm
from l2_harness.engines.hf.residual_norms import ResidualNorms


class Unusual(nn.Module):
    """A model that keeps its four layers where nobody looks, beside a list of experts."""

    def __init__(self, n_experts: int = 3, twin: bool = False) -> None:
        super().__init__()
        self.config = PreTrainedConfig()
        self.config.num_hidden_layers = 4
        self.odd = _Holder(n_experts)
        if twin:
            self.vision = nn.ModuleList([nn.Identity() for _ in range(4)])


class _Holder(nn.Module):
    def __init__(self, n_experts: int) -> None:
        super().__init__()
        self.stack = nn.ModuleList([_Layer(n_experts) for _ in range(4)])


class _Layer(nn.Module):
    def __init__(self, n_experts: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList([nn.Identity() for _ in range(n_experts)])


@pytest.mark.parametrize("n_experts", [3, 4])
def test_found_by_their_number_whatever_lies_inside(n_experts: int) -> None:
    model = Unusual(n_experts)
    assert find_decoder_layers(model) is model.odd.stack


def test_two_candidates_are_an_error_that_lists_them() -> None:
    with pytest.raises(ConfigError, match=r"layers_path=.*odd\.stack \(4\), vision \(4\)"):
        find_decoder_layers(Unusual(twin=True))


def test_named_path() -> None:
    model = Unusual(twin=True)
    assert list(find_decoder_layers(model, "odd.stack")) == list(model.odd.stack)
    with pytest.raises(ConfigError, match=r"layers_path='odd\.stak' is not in the model"):
        find_decoder_layers(model, "odd.stak")
    with pytest.raises(ConfigError, match="is a _Holder, not a list"):
        find_decoder_layers(model, "odd")


def test_no_layers_at_all() -> None:
    with pytest.raises(ConfigError, match="holds no list of layers at all; pass record=off"):
        find_decoder_layers(nn.Linear(2, 2))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt-neox", "gemma3"])
def test_peft_is_looked_through(family: str, tiny_model: Callable[..., Any]) -> None:
    from peft import LoraConfig, get_peft_model

    model = tiny_model(family)
    layers = list(find_decoder_layers(model))
    wrapped = get_peft_model(model, LoraConfig(target_modules="all-linear", r=2))
    assert list(find_decoder_layers(wrapped)) == layers
    assert len(layers) == number_of_layers(model.config) == 5


def test_a_layer_that_did_not_run_is_an_error() -> None:
    layers = [nn.Identity(), nn.Identity()]
    norms = ResidualNorms(layers)
    with norms.last_position():
        layers[0](torch.ones(1, 2, 3))
        with pytest.raises(RuntimeError, match="1 of 2 monitored layers did not run"):
            norms.take()


def test_hooks_are_gone_afterwards() -> None:
    layer = nn.Identity()
    norms = ResidualNorms([layer])
    with norms.all_positions():
        layer(torch.full((1, 2, 4), 3.0))
        assert norms.take().tolist() == [[[6.0, 6.0]]]
    assert not layer._forward_hooks


def test_half_precision_is_squared_in_float32() -> None:
    """300² · 4 is beyond float16."""
    layer = nn.Identity()
    norms = ResidualNorms([layer])
    with norms.last_position():
        layer(torch.full((1, 1, 4), 300.0, dtype=torch.float16))
        assert norms.take().tolist() == [[600.0]]


@pytest.mark.parametrize("positions", ["last_position", "all_positions"])
def test_double_precision(positions: str) -> None:
    layer = nn.Identity()
    norms = ResidualNorms([layer])
    with getattr(norms, positions)():
        layer(torch.full((1, 1, 4), 3.0, dtype=torch.float64))
        assert norms.take().flatten().tolist() == [6.0]
        layer(torch.ones(1, 1, 4, dtype=torch.float64))
        assert norms.take().dtype == torch.float32


def test_tuple_outputs() -> None:
    class Old(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
            return x, None

    layer = Old()
    norms = ResidualNorms([layer])
    with norms.last_position():
        layer(torch.ones(2, 3, 4))
        assert norms.take().tolist() == [[2.0, 2.0]]


def test_a_final_norm_that_is_not_there(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model("llama")
    layers = list(find_decoder_layers(model))
    assert find_final_norm(model, layers) is model.model.norm
    model.model.unusual = model.model.norm
    del model.model.norm
    for some in (layers, [nn.Identity()]):
        with pytest.raises(ConfigError, match="need the final norm of LlamaForCausalLM"):
            find_final_norm(model, some)
