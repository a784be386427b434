"""Whether a model's layers can be run again, tried out before anything depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from l2_harness.config import ConfigError
from l2_harness.engines.close_states import close_states
from l2_harness.engines.hf.cache_argument import cache_argument
from l2_harness.engines.hf.growing_cache import make_growing
from l2_harness.engines.hf.layer_rerun import LayerCall, first_output
from l2_harness.engines.hf.read_only_cache import seen_states

#: Two texts of five tokens, of which the second has one token of padding.
_LENGTH = 5
_PADDING = 1


def check_rerun(causal_lm: Any, layers: Mapping[int, nn.Module], scored: bool = False) -> None:
    """Run each layer again on its own input: its output must be the same, its cache untouched.

    Args:
        causal_lm: the module whose output has the logits.
        layers: index → decoder layer, of those that recursion needs.
        scored: whether passes over whole texts are tried too.

    Raises:
        ConfigError: a layer that cannot be run again, and why.
    """
    try:
        cache_argument(causal_lm.forward)
    except TypeError as error:
        raise ConfigError(
            f"recursion reads a layer's cache again, and {error}. The norms can still be "
            "monitored: pass recursion=off."
        ) from error
    cache = DynamicCache(config=causal_lm.config.get_text_config(decoder=True))
    _check_kinds(causal_lm, layers, cache)
    faults: dict[int, str] = {}
    with torch.no_grad(), ExitStack() as stack:
        ids, mask = trial_texts(causal_lm)
        run_text(causal_lm, ids[:, :-1], mask[:, :-1], cache)
        make_growing(cache)
        for index, layer in layers.items():
            handle = layer.register_forward_hook(_trial(index, cache, faults), with_kwargs=True)
            stack.callback(handle.remove)
        run_text(causal_lm, ids[:, -1:], mask, cache)
        if scored:
            cache.reset()
            run_text(causal_lm, ids, None, cache)
    for index, fault in faults.items():
        raise _refusal(causal_lm, index, layers[index], fault)


def _check_kinds(causal_lm: Any, layers: Mapping[int, nn.Module], cache: DynamicCache) -> None:
    """Refuse layers whose state a second pass would advance, or that read another's cache."""
    plain = [i for i, held in enumerate(cache.layers) if not (cache.is_linear[i] or _dummy(held))]
    for index, layer in layers.items():
        if index in plain or index >= len(cache.layers):
            continue
        what = "shares another layer's keys and values"
        if cache.is_linear[index]:
            what = "is linear attention, whose state a second pass would advance"
        others = f" Layers that can: {'+'.join(map(str, plain))}." if plain else ""
        raise _refusal(causal_lm, index, layer, f"it {what}.{others}")


def _dummy(held: Any) -> bool:
    return type(held).__name__ == "DummyLayer"


def trial_texts(causal_lm: Any) -> tuple[Tensor, Tensor]:
    """Two short texts of any tokens, padded on the left: ids and mask, (2, positions) int64."""
    size = causal_lm.config.get_text_config(decoder=True).vocab_size
    ids = (torch.arange(2 * _LENGTH, device=causal_lm.device) * 7 + 3).remainder(size)
    mask = torch.ones(2, _LENGTH, dtype=torch.int64, device=causal_lm.device)
    mask[1, :_PADDING] = 0
    return ids.view(2, _LENGTH), mask


def run_text(causal_lm: Any, ids: Tensor, mask: Tensor | None, cache: DynamicCache) -> Any:
    """A pass over ``ids`` after what the cache holds; no mask where there is no padding."""
    inputs: dict[str, Any] = {cache_argument(causal_lm.forward): cache}
    if mask is not None:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        inputs |= {"attention_mask": mask, "position_ids": positions}
    return causal_lm(input_ids=ids, use_cache=True, **inputs)


def _trial(index: int, cache: DynamicCache, faults: dict[int, str]) -> Any:
    def on_output(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        call = LayerCall.of(module, args, kwargs)
        hidden = first_output(output)
        try:
            fault = _fault(call, hidden, cache, index)
        except Exception as error:  # whatever a model's own code raises is the reason
            fault = f"{type(error).__name__}: {error}"
        if fault:
            faults[index] = fault

    return on_output


def _fault(call: LayerCall, output: Tensor, cache: DynamicCache, index: int) -> str | None:
    before = [states.clone() for states in seen_states(cache.layers[index])]
    columns = call.shape[1]
    length = cache.get_seq_length(index)
    for rows, column in (([0, 1], columns - 1), ([1], 0), ([0], columns // 2)):
        which = torch.tensor(rows, device=output.device)
        where = torch.full_like(which, column)
        found = call.again(call.hidden[which, where], which, where)
        if not close_states(found, output[which, where]):
            return "on the same input its output is another one."
    after = seen_states(cache.layers[index])
    same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    if not same or cache.get_seq_length(index) != length:
        return "a second pass changes its cache."
    return None


def _refusal(causal_lm: Any, index: int, layer: nn.Module, why: str) -> ConfigError:
    return ConfigError(
        f"recursion cannot run layer {index} ({type(layer).__name__}) of "
        f"{type(causal_lm).__name__} again: {why} Its norms can still be monitored, steered and "
        "suppressed: pass recursion=off, or layers= with other layers."
    )
