"""A model in which a block of layers runs several times: deeper, with the same weights.

The layers of a further pass are modules of their own that share their parameters with the first
pass's, and have a place of their own in the cache: all that counts layers, hooks and caches sees a
deeper model.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.cache_utils import DynamicCache

from l2_harness.config.errors import ConfigError
from l2_harness.config.looping import LoopingConfig
from l2_harness.engines.close_states import close_states
from l2_harness.engines.decoder_layers import causal_lm, find_decoder_layers
from l2_harness.engines.hf.layer_rerun import LayerCall, first_output, with_first_output
from l2_harness.engines.hf.rerun_check import run_text, trial_texts
from l2_harness.interventions.mixing import relative_change, weighted_sum

#: What a configuration says of each layer, in a list.
_OF_EACH_LAYER = ("layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers")


def mean_dose(rows: int, total: float) -> dict[str, float]:
    """For a result file: rows, and the mean of their doses."""
    return {"rows": rows, "dose": total / rows if rows else 0.0}


class LoopDose:
    """How far a loop moved the states of the rows that were decoded: ‖Δ‖/‖h‖.

    h is what the block's first pass alone would have given, Δ what the loop made of it. Prompts
    are left out, and with them their sinks.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget what was counted."""
        self.rows = 0
        self._sum: Tensor | float = 0.0

    def add(self, once: Tensor, looped: Tensor) -> None:
        """Count the rows of a pass, (rows, positions, d) both, if it is one of decoding."""
        if once.shape[1] == 1:
            self.rows += len(once)
            self._sum = self._sum + relative_change(once[:, 0], looped[:, 0]).double().sum()

    def as_dict(self) -> dict[str, float]:
        """Rows, and their mean."""
        return mean_dose(self.rows, float(self._sum))


def looped_model(
    model: nn.Module, looping: LoopingConfig, layers_path: str | None = None
) -> tuple[nn.Module, LoopDose]:
    """A copy of ``model`` that loops, and shares all of its parameters; ``model`` stays as it is.

    Raises:
        ConfigError: a block or a model that cannot be looped.
    """
    n_layers = len(find_decoder_layers(model, layers_path))
    path = looping.path(n_layers)
    found = _sharing_copy(model)
    base: Any = causal_lm(found)
    layers = find_decoder_layers(found, layers_path)
    config = base.config.get_text_config(decoder=True)
    _check_kind(base, config, layers)
    passes = _passes(layers, path, looping.block(n_layers))
    layers._modules.clear()
    layers.extend(passes.pop("all"))
    _tell_depth(config, path)
    dose = LoopDose()
    _Loop(passes["first"], passes["last"], looping.step, dose)
    _check_cache(base)
    dose.clear()
    return found, dose


def _sharing_copy(module: Any) -> Any:
    """A deep copy whose parameters and buffers, and configurations, are the same objects."""
    memo: dict[int, Any] = {}
    for tensor in chain(module.parameters(), module.buffers()):
        memo[id(tensor)] = tensor
    return copy.deepcopy(module, memo)


def _passes(layers: nn.ModuleList, path: list[int], block: range) -> dict[str, list[nn.Module]]:
    """All layers in the order of the path; of each pass of the block the first and the last."""
    configs = {
        id(value): value
        for module in layers.modules()
        for value in vars(module).values()
        if isinstance(value, PreTrainedConfig)
    }
    used: set[int] = set()
    found: dict[str, list[nn.Module]] = {"all": [], "first": [], "last": []}
    for place, layer in enumerate(path):
        own = layers[layer]
        if layer in used:
            tensors = {id(t): t for t in chain(own.parameters(), own.buffers())}
            own = copy.deepcopy(own, {**tensors, **configs})
        used.add(layer)
        for module in own.modules():
            if isinstance(getattr(module, "layer_idx", None), int):
                module.layer_idx = place  # type: ignore[assignment]
        found["all"].append(own)
        found["first"] += [own] if layer == block.start else []
        found["last"] += [own] if layer == block.stop - 1 else []
    return found


def _tell_depth(config: Any, path: list[int]) -> None:
    for name in _OF_EACH_LAYER:
        values = getattr(config, name, None)
        if values is not None:
            setattr(config, name, [values[layer] for layer in path])
    config.num_hidden_layers = len(path)


class _Loop:
    """The hooks at both ends of each pass: damped steps, and the dose."""

    def __init__(
        self, first: list[nn.Module], last: list[nn.Module], step: float, dose: LoopDose
    ) -> None:
        self._step = step
        self._dose = dose
        self._input: Tensor | None = None
        self._once: Tensor | None = None
        for turn, (start, end) in enumerate(zip(first, last, strict=True)):
            start.register_forward_pre_hook(self._enter, with_kwargs=True)
            end.register_forward_hook(self._leaver(turn, turn == len(first) - 1))

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._input = LayerCall.of(module, args, kwargs).hidden

    def _leaver(self, turn: int, ends: bool) -> Any:
        def leave(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            hidden = first_output(output)
            assert self._input is not None
            if turn == 0:
                self._once = hidden
            if self._step != 1:
                hidden = weighted_sum(self._input, 1 - self._step, hidden, self._step)
            self._input = None
            if ends:
                assert self._once is not None
                self._dose.add(self._once, hidden)
                self._once = None
            return with_first_output(output, hidden)

        return leave


def _check_kind(base: Any, config: Any, layers: nn.ModuleList) -> None:
    if not any(module is layers for module in base.modules()):
        raise _refusal(base, "its layers are no list that can be changed")
    if getattr(config, "num_kv_shared_layers", 0):
        raise _refusal(base, "some of its layers share others' keys and values")


def _check_cache(base: Any) -> None:
    """A text at once, and its last token after the others: the outputs must be the same."""
    ids, mask = trial_texts(base)
    with torch.no_grad():
        try:
            whole = run_text(base, ids, mask, DynamicCache(config=base.config))
            cache = DynamicCache(config=base.config)
            run_text(base, ids[:, :-1], mask[:, :-1], cache)
            last = run_text(base, ids[:, -1:], mask, cache)
        except Exception as error:  # whatever a model's own code raises is the reason
            raise _refusal(base, f"{type(error).__name__}: {error}") from error
    if not close_states(last.logits[:, -1], whole.logits[:, -1]):
        raise _refusal(base, "with its cache it computes something else than without")


def _refusal(base: Any, why: str) -> ConfigError:
    return ConfigError(
        f"loop= cannot repeat layers of {type(base).__name__}: {why}. Pass loop=off.", "loop"
    )
