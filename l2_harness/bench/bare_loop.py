"""The least that decoding the same rows takes: forward passes over tokens that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.cache_argument import cache_argument
from l2_harness.engines.hf.decode_loop import DecodeLoop
from l2_harness.models.hf.l2hf import L2HF


@dataclass(frozen=True, eq=False)
class RecordedBatch:
    """A batch that was decoded once.

    Attributes:
        ids: (prompts, positions) padded prompts.
        mask: (prompts, positions), 0 on padding.
        prompt_of: the prompt of each response.
        tokens: each response's ids.
    """

    ids: Tensor
    mask: Tensor
    prompt_of: Sequence[int]
    tokens: Sequence[Sequence[int]]


class BatchSpy(L2HF):
    """``l2hf`` that keeps what it decodes."""

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self.batches: list[RecordedBatch] = []

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], **generation_kwargs: Any
    ) -> Any:
        loop: DecodeLoop = generation_kwargs["custom_generate"]
        tokens: dict[int, Sequence[int]] = {}
        deliver = loop.deliver

        def keep(decoded: list[tuple[int, FinishedResponse]]) -> None:
            tokens.update({index: response.tokens for index, response in decoded})
            deliver(decoded)

        loop.deliver = keep
        super()._model_generate(context, max_length, stop, **generation_kwargs)
        self.batches.append(
            RecordedBatch(
                context,
                generation_kwargs["attention_mask"],
                [spec.prompt for spec in loop.wanted],
                [tokens[i] for i in range(len(tokens))],
            )
        )


@torch.no_grad()
def replay(model: Any, batch: RecordedBatch) -> None:
    """Forward passes over a batch: prompts once, then each row until its response ends."""
    cache = DynamicCache(config=model.config)
    held: dict[str, Any] = {cache_argument(model.forward): cache}
    mask = batch.mask
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    padded = not bool(mask.all())
    model(
        input_ids=batch.ids,
        attention_mask=mask if padded else None,
        position_ids=positions,
        logits_to_keep=1,
        **held,
    )
    rows = torch.tensor(batch.prompt_of)
    lengths = torch.tensor([len(tokens) for tokens in batch.tokens])
    width = int(lengths.max())
    table = torch.tensor([[*t, *[0] * (width - len(t))] for t in batch.tokens], device=mask.device)
    kept = torch.arange(len(rows))
    _keep(cache, rows)
    mask, last = mask[rows], positions[rows][:, -1:]
    for step in range(width - 1):
        staying = (lengths[kept] > step + 1).nonzero()[:, 0]
        if len(staying) < len(kept):
            kept = kept[staying]
            _keep(cache, staying)
            mask, last = mask[staying], last[staying]
        mask = torch.cat([mask, mask.new_ones(len(kept), 1)], dim=-1)
        last = last + 1
        model(
            input_ids=table[kept, step : step + 1],
            attention_mask=mask if padded else None,
            position_ids=last,
            **held,
        )


def _keep(cache: DynamicCache, rows: Tensor) -> None:
    if len(rows):
        cache.reorder_cache(rows)  # type: ignore[arg-type]
