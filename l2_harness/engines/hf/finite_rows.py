"""Stock ``generate`` with a row whose scores are no numbers: it ends, and the others go on."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessor


class FiniteRows(LogitsProcessor):
    """A row that has no largest finite score gets its EOS, whatever warpers come after.

    Drawn from, such a row would end the whole batch with an error; the likeliest of it would be
    any token. Beams are left as they are.

    Args:
        prompts: rows of the batch.
        width: positions of its padded prompts.
        eos: the token that ends a response.
    """

    def __init__(self, prompts: int, width: int, eos: int) -> None:
        self._prompts, self._width, self._eos = prompts, width, eos
        self._first: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, (rows, vocabulary), with each row's EOS alone where it is broken."""
        if len(scores) != self._prompts:
            return scores
        broken = ~scores.amax(-1).isfinite()
        if self._first is None:
            self._first = torch.full_like(broken, -1, dtype=torch.long)
        is_first = broken & (self._first < 0)
        self._first = self._first.masked_fill(is_first, input_ids.shape[1] - self._width)
        ended = scores.masked_fill(broken[:, None], -torch.inf)
        ended[:, self._eos] = scores[:, self._eos].masked_fill(broken, 0.0)
        return ended

    def lengths(self) -> list[int | None]:
        """Of each row, its tokens up to the first one that is broken; None where none is."""
        if self._first is None:
            return [None] * self._prompts
        return [None if first < 0 else first + 1 for first in self._first.tolist()]
