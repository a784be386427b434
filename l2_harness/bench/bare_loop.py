"""The least that decoding takes: the forward passes alone, over what they were given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from l2_harness.engines.hf.cache_argument import cache_argument


@dataclass(frozen=True, eq=False)
class RecordedPass:
    """A forward pass that was run once.

    Attributes:
        ids, positions: (rows, n).
        mask: (rows, columns), None where nothing is masked.
        held: columns that the cache held before.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor | None
    held: int


@contextmanager
def recorded_passes(model: nn.Module) -> Iterator[list[RecordedPass]]:
    """The forward passes of a model while this is entered, as they are made."""
    passes: list[RecordedPass] = []
    cache_name = cache_argument(type(model).forward)

    def keep(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        held = kwargs[cache_name].get_seq_length()
        mask = kwargs.get("attention_mask")
        passes.append(RecordedPass(kwargs["input_ids"], kwargs["position_ids"], mask, held))

    handle = model.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield passes
    finally:
        handle.remove()


@torch.no_grad()
def replay(model: Any, passes: Sequence[RecordedPass]) -> None:
    """The same passes through transformers' own cache, whose contents are made up."""
    name = cache_argument(type(model).forward)
    config = model.config.get_text_config(decoder=True)
    rows = max(len(one.ids) for one in passes)
    columns = max(one.held for one in passes)
    heads, size = config.num_key_value_heads, config.head_dim
    states = torch.zeros(rows, heads, columns, size, dtype=model.dtype, device=model.device)
    for one in passes:
        cache = DynamicCache(config=config)
        if one.held:
            held = states[: len(one.ids), :, : one.held]
            for layer in range(config.num_hidden_layers):
                cache.update(held, held, layer)
        model(
            input_ids=one.ids,
            attention_mask=one.mask,
            position_ids=one.positions,
            logits_to_keep=1,
            **{name: cache},
        )
