"""A model of vLLM's in which a block of layers runs several times: deeper, with the same weights.

A layer of a further pass is a module of its own down to its attention, whose name, and with it
keys and values, is that of its place; all else it shares with the first pass's. This is done when
the weights are loaded, before vLLM compiles the model or looks at what cache it needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from l2_harness.config.errors import ConfigError
from l2_harness.config.looping import LoopingConfig
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.vllm.residual_stream import stream, stream_parts
from l2_harness.engines.vllm.second_pass import (
    CannotRunAgainError,
    attention_names,
    state_parameters,
)
from l2_harness.interventions.mixing import relative_change, weighted_sum


def loop_layers(
    runner: Any, looping: LoopingConfig, most_tokens: int
) -> tuple[list[nn.Module], Tensor]:
    """Make the model of a runner (V1) a deeper one.

    Args:
        runner: its weights are loaded.
        looping: what is repeated.
        most_tokens: of one forward pass.

    Returns:
        Its layers, and (most_tokens,) float32, where each forward pass leaves how far the loop
        moved its rows: ‖Δ‖/‖h‖.

    Raises:
        ConfigError: layers that cannot be repeated.
    """
    layers = find_decoder_layers(runner.model)
    path, block = looping.path(len(layers)), looping.block(len(layers))
    compilation = runner.compilation_config
    owner = _owner(runner.model, layers)
    originals = list(layers)
    try:
        names = [attention_names(layer) for layer in originals]
        states = state_parameters(originals[block.start])
    except CannotRunAgainError as error:
        raise _refusal(str(error)) from error
    deeper = [
        _twin(originals[layer]) if layer in path[:place] else originals[layer]
        for place, layer in enumerate(path)
    ]
    context = compilation.static_forward_context
    for name in (name for own in names for name in own):
        del context[name]
    for place, layer in enumerate(deeper):
        for module in _attentions(layer):
            module.layer_name = _renamed(module.layer_name, place)
            context[module.layer_name] = module
    experts = list(compilation.static_all_moe_layers)  # run in this order
    compilation.static_all_moe_layers[:] = [
        name for layer in path for name in experts if _number(name) == layer
    ]
    layers._modules.clear()
    layers.extend(deeper)
    owner.end_layer = len(path)
    first = [deeper[i] for i, layer in enumerate(path) if layer == block.start]
    last = [deeper[i] for i, layer in enumerate(path) if layer == block.stop - 1]
    return deeper, _Loop(first, last, looping.step, states, most_tokens).doses


class _Loop:
    """The hooks at both ends of each pass: damped steps, and the dose."""

    def __init__(
        self,
        first: Sequence[nn.Module],
        last: Sequence[nn.Module],
        step: float,
        states: Sequence[tuple[int, str]],
        most_tokens: int,
    ) -> None:
        device = next(first[0].parameters()).device
        self.doses = torch.zeros(most_tokens, dtype=torch.float32, device=device)
        self._step, self._states = step, states
        self._input: Any = None
        self._once: Any = None
        for turn, (start, end) in enumerate(zip(first, last, strict=True)):
            start.register_forward_pre_hook(self._enter, with_kwargs=True)
            end.register_forward_hook(self._leaver(turn == 0, turn == len(first) - 1))

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        given: list[Any] = [
            kwargs[name] if name in kwargs else args[index] if index < len(args) else None
            for index, name in self._states
        ]
        self._input = stream(given[0], given[1] if len(given) > 1 else None)

    def _leaver(self, begins: bool, ends: bool) -> Any:
        def leave(module: nn.Module, args: Any, output: Any) -> Any:
            state = stream(*stream_parts(output))
            if begins:
                self._once = state
            if self._step != 1:
                state = weighted_sum(self._input, 1 - self._step, state, self._step)
                output = _with_stream(output, state)
            self._input = None
            if ends:
                self.doses[: state.shape[0]] = relative_change(self._once, state)
                self._once = None
            return output

        return leave


def _with_stream(output: Any, state: Tensor) -> Any:
    """What a layer returned, with another state."""
    if isinstance(output, Tensor):
        return state
    rest = [torch.zeros_like(state)] if stream_parts(output)[1] is not None else output[1:2]
    return (state, *rest, *output[2:])


def _twin(module: nn.Module) -> Any:
    """A module of its own wherever attention is within, and itself elsewhere."""
    if not _attentions(module):
        return module
    twin = object.__new__(type(module))
    for name, value in vars(module).items():
        if getattr(value, "__self__", None) is module:
            raise _refusal(f"its {type(module).__name__} is bound to itself by {name}.")
        twin.__dict__[name] = value.copy() if isinstance(value, dict) else value
    twin._modules = {name: child and _twin(child) for name, child in module._modules.items()}
    return twin


def _attentions(module: nn.Module) -> list[Any]:
    from vllm.model_executor.layers.attention import Attention

    return [one for one in module.modules() if isinstance(one, Attention)]


def _renamed(name: str, place: int) -> str:
    """An attention's name, of a layer at another place: the first number in it."""
    return re.sub(r"(?<=\.)\d+(?=\.)", str(place), name, count=1)


def _number(name: str) -> int:
    found = re.search(r"(?<=\.)\d+(?=\.)", name)
    return int(found[0]) if found else -1


def _owner(model: nn.Module, layers: nn.ModuleList) -> Any:
    """The module that runs the layers, up to its ``end_layer``."""
    for module in model.modules():
        if any(child is layers for child in module.children()):
            if getattr(module, "end_layer", None) == len(layers):
                return module
            break
    raise _refusal("it does not say that it runs all of its layers in their order.")


def _refusal(why: str) -> ConfigError:
    return ConfigError(
        f"loop= cannot repeat layers of this model in vLLM: {why} Pass loop=off, or use --model "
        "l2hf.",
        "loop",
    )
