"""What a decode step needs of every row, kept together while rows come and go.

Rows end at the same column: that of the newest token.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from l2_harness.engines.hf.cache_argument import GENERATE_CACHE
from l2_harness.engines.hf.cache_rows import drop_left, join_rows, keep_rows
from l2_harness.engines.hf.row_buffer import RowBuffer, RowMoves
from l2_harness.engines.hf.row_processors import RowProcessors
from l2_harness.engines.hf.token_choice import drawn, likeliest

#: Model inputs that ``generate`` keeps from step to step, (…, rows, positions) each; only the
#: newest position is read, but of the mask.
_NEWEST = ("position_ids", "token_type_ids")
_MASK = "attention_mask"


class BatchState:
    """The rows of a batch: which response each one is, its tokens, and how the next is chosen.

    Args:
        responses: which response each row belongs to.
        ids: (rows, columns) int64, the padded prompts.
        processors: of ``generate``, for these rows.
        uniforms: (rows, max_tokens) float64, or None for greedy decoding.
    """

    def __init__(
        self,
        responses: Sequence[int],
        ids: Tensor,
        processors: RowProcessors,
        uniforms: Tensor | None,
    ) -> None:
        self.responses = list(responses)
        self._ids = RowBuffer(ids, -1)  # written in place: to append to a tensor copies it
        self._processors = processors
        self._uniforms = uniforms
        self._drawn = None if uniforms is None else ids.new_zeros(len(ids), 1)

    @property
    def ids(self) -> Tensor:
        """(rows, columns) int64, padding and prompt included."""
        return self._ids.view

    @property
    def columns_read(self) -> int:
        """How many of the newest columns the choice of a token depends on."""
        return self._processors.columns

    def choose(self, logits: Tensor) -> Tensor:
        """(rows,) int64, the next token of each row, which is appended; logits: (rows, …)."""
        scores = self._processors(self.ids, logits)
        if self._uniforms is None or self._drawn is None:
            chosen = likeliest(scores)
        else:
            chosen = drawn(scores, self._uniforms.gather(1, self._drawn)[:, 0])
            self._drawn += 1
        self._ids.append(chosen.unsqueeze(1))
        return chosen

    def keep(self, rows: Sequence[int]) -> RowMoves:
        """Drop all but ``rows``, ascending, with all that belongs to them; others change places."""
        moves = RowMoves(rows)
        self.responses = [self.responses[row] for row in moves.order.tolist()]
        self._ids.keep(moves)
        self._processors = self._processors.of(moves.order)
        if self._uniforms is not None and self._drawn is not None:
            order = moves.order.to(self._uniforms.device)
            self._uniforms, self._drawn = self._uniforms[order], self._drawn[order]
        return moves

    def join(self, other: BatchState) -> None:
        """Add another batch's rows, which take the same settings."""
        self._processors = self._processors.joined(other._processors)
        self.responses += other.responses
        self._ids.join(other.ids)
        if self._uniforms is not None and self._drawn is not None:
            assert other._uniforms is not None
            assert other._drawn is not None
            self._uniforms = torch.cat([self._uniforms, other._uniforms])
            self._drawn = torch.cat([self._drawn, other._drawn])

    def drop_left(self, count: int) -> None:
        """Forget the first columns, where no row has anything but padding."""
        self._ids.drop_left(count)


class PassInputs:
    """What ``generate`` hands on from one forward pass to the next, the cache included.

    Args:
        model_kwargs: of ``generate``, after the prefill.
        ids: (rows, columns) of the prompts.
    """

    def __init__(self, model_kwargs: dict[str, Any], ids: Tensor) -> None:
        self.model_kwargs = _newest(model_kwargs)
        # of the ids so far, and of the token that is chosen next
        self.columns = ids.shape[1] + 1
        self._n_rows, self._device = len(ids), ids.device

    @property
    def cache(self) -> Any:
        """Keys and values of all columns but the newest."""
        return self.model_kwargs[GENERATE_CACHE]

    def next(self, model: Any, ids: Tensor) -> dict[str, Any]:
        """The arguments of the next pass, over the newest of ids: (rows, columns)."""
        inputs: dict[str, Any] = model.prepare_inputs_for_generation(
            ids, next_sequence_length=1, **self.model_kwargs
        )
        return inputs

    def after(self, model: Any, outputs: Any) -> None:
        """Take what a pass gave."""
        self.model_kwargs = _newest(
            model._update_model_kwargs_for_generation(outputs, self.model_kwargs)
        )
        self.columns += 1

    def select(self, index: Tensor) -> None:
        """Become the inputs of rows ``index``: (rows,) int64 on the CPU; several may be one."""
        self._select(index)
        # what beam search reorders is what any choice of rows is; it knows every kind of layer,
        # and each layer's device
        self.cache.reorder_cache(index)

    def keep(self, moves: RowMoves) -> None:
        """Drop rows."""
        self._select(moves.order)
        keep_rows(self.cache, moves)

    def join(self, other: PassInputs, index: Tensor) -> None:
        """Add rows ``index`` of other inputs, which stay as they are."""
        for name in _NEWEST:
            own, new = self.model_kwargs.get(name), other.model_kwargs.get(name)
            if own is not None and new is not None:
                self.model_kwargs[name] = torch.cat([own, _rows(new, index)], dim=-2)
        columns = max(self.columns, other.columns)
        masks = [self._wide_mask(columns), _rows(other._wide_mask(columns), index)]
        self.model_kwargs[_MASK] = torch.cat(masks)
        join_rows(self.cache, other.cache, index)
        self.columns = columns
        self._n_rows += len(index)

    def drop_left(self, count: int) -> None:
        """Forget the first columns, where no row has anything but padding."""
        drop_left(self.cache, count)
        self.columns -= count
        if self.model_kwargs.get(_MASK) is not None:
            self.model_kwargs[_MASK] = self.model_kwargs[_MASK][:, count:]

    def copied(self) -> PassInputs:
        """The same with a cache of their own."""
        other = copy.copy(self)
        own_cache = {GENERATE_CACHE: copy.deepcopy(self.cache)}
        other.model_kwargs = {**self.model_kwargs, **own_cache}
        return other

    def _select(self, index: Tensor) -> None:
        for name in (*_NEWEST, _MASK):
            if self.model_kwargs.get(name) is not None:
                self.model_kwargs[name] = _rows(self.model_kwargs[name], index)
        self._n_rows = len(index)

    def _wide_mask(self, columns: int) -> Tensor:
        """(rows, columns) the mask, which ``generate`` drops where it masks nothing."""
        mask = self.model_kwargs.get(_MASK)
        if mask is None:
            mask = torch.ones(self._n_rows, self.columns, dtype=torch.int64, device=self._device)
        return pad(mask, (columns - self.columns, 0), value=0)


def _newest(model_kwargs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value[..., -1:] if name in _NEWEST and value is not None else value
        for name, value in model_kwargs.items()
    }


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Of values (…, rows, positions)."""
    return values.index_select(-2, index.to(values.device))
