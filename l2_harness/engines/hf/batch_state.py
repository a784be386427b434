"""What a decode step needs of every row, kept together while rows are repeated and dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

from l2_harness.engines.hf.cache_argument import GENERATE_CACHE
from l2_harness.engines.hf.growing_cache import RowMoves, keep_rows

#: Model inputs that ``generate`` keeps from step to step, (…, rows, positions) each.
_PER_ROW = ("attention_mask", "position_ids", "token_type_ids")


class BatchState:
    """The rows of a batch: their ids, their cache, and which response each one is.

    Args:
        responses: which response each row belongs to.
        prompts: which prompt each row answers.
        ids: (rows, positions) int64, the padded prompts.
        max_tokens: how many tokens may be added.
        uniforms: (rows, max_tokens) float64, or None for greedy decoding.
        model_kwargs: of ``generate``; changed by :meth:`keep`.
        logits_processor: of ``generate``.
    """

    def __init__(
        self,
        responses: Sequence[int],
        prompts: Sequence[int],
        ids: Tensor,
        max_tokens: int,
        uniforms: Tensor | None,
        model_kwargs: dict[str, Any],
        logits_processor: LogitsProcessorList,
    ) -> None:
        self.responses = list(responses)
        self.prompts = list(prompts)
        self.model_kwargs = model_kwargs
        self.logits_processor = logits_processor
        self._uniforms = uniforms
        self._n_prompt = self._length = ids.shape[1]
        # written in place: to append to a tensor copies it
        self._ids = torch.cat([ids, ids.new_zeros(len(ids), max_tokens)], dim=1)

    @property
    def ids(self) -> Tensor:
        """(rows, positions so far) int64, padding and prompt included."""
        return self._ids[:, : self._length]

    @property
    def uniforms(self) -> Tensor | None:
        """(rows,) float64, the numbers that draw the next token."""
        if self._uniforms is None:
            return None
        return self._uniforms[:, self._length - self._n_prompt]

    def append(self, tokens: Tensor) -> None:
        """Add a token to each row, tokens: (rows,) int64."""
        self._ids[:, self._length] = tokens
        self._length += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all but ``rows``, with all that belongs to them; the others change places.

        Args:
            rows: ascending.
        """
        moves = RowMoves(rows)
        self.responses = [self.responses[row] for row in moves.order.tolist()]
        self.prompts = [self.prompts[row] for row in moves.order.tolist()]
        self._ids = self._ids[moves.order.to(self._ids.device)]
        if self._uniforms is not None:
            self._uniforms = self._uniforms[moves.order.to(self._uniforms.device)]
        _select_inputs(self.model_kwargs, moves.order)
        keep_rows(self.model_kwargs[GENERATE_CACHE], moves)
        self.logits_processor = select_processors(self.logits_processor, moves.order)


def repeat_rows(model_kwargs: dict[str, Any], index: Tensor) -> None:
    """Make ``generate``'s model_kwargs those of other rows, of which several may be one.

    Args:
        model_kwargs: changed in place, the cache in them too.
        index: (rows,) int64 on the CPU.
    """
    _select_inputs(model_kwargs, index)
    # what beam search reorders is what any choice of rows is; it knows every kind of layer,
    # and each layer's device
    model_kwargs[GENERATE_CACHE].reorder_cache(index)


def _select_inputs(model_kwargs: dict[str, Any], index: Tensor) -> None:
    for name in _PER_ROW:
        if model_kwargs.get(name) is not None:
            tensor = model_kwargs[name]
            model_kwargs[name] = tensor.index_select(-2, index.to(tensor.device))


def select_processors(processors: LogitsProcessorList, index: Tensor) -> LogitsProcessorList:
    """Those processors for some rows; only a repetition penalty knows what row is which."""
    return LogitsProcessorList(_select_processor(processor, index) for processor in processors)


def _select_processor(processor: Any, index: Tensor) -> Any:
    if isinstance(processor, RepetitionPenaltyLogitsProcessor) and isinstance(
        processor.prompt_ignore_length, Tensor
    ):
        lengths = processor.prompt_ignore_length
        return RepetitionPenaltyLogitsProcessor(
            processor.penalty, prompt_ignore_length=lengths[index.to(lengths.device)]
        )
    return processor
