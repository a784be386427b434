"""Stock ``generate`` with a row whose scores are no numbers: it ends, and the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor


class BrokenRow(NamedTuple):
    """A row whose scores were no numbers.

    Attributes:
        ids: of the row so far, prompt and padding included; the next one says nothing.
        step: how many scores ``generate`` had asked for before.
        row: which row of the batch it was then; a prompt has several where there are beams.
    """

    ids: tuple[int, ...]
    step: int
    row: int


class FiniteRows(LogitsProcessor):
    """A row that has no largest finite score gets its EOS, whatever warpers come after.

    Drawn from, such a row would end the whole batch with an error; the likeliest of it would be
    any token. A beam ends there as a response does: with the score that it had.

    Args:
        prompts: of the batch; the rows of one are side by side.
        eos: the token that ends a response.
    """

    def __init__(self, prompts: int, eos: int) -> None:
        self._eos = eos
        self._broken: list[list[BrokenRow]] = [[] for _ in range(prompts)]
        self._steps = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, (rows, vocabulary), with each row's EOS alone where it is broken."""
        broken = ~scores.amax(-1).isfinite()
        self._steps += 1
        if not broken.any():
            return scores
        self._note(input_ids, broken.nonzero()[:, 0].tolist())
        ended = scores.masked_fill(broken[:, None], -torch.inf)
        ended[:, self._eos] = scores[:, self._eos].masked_fill(broken, 0.0)
        return ended

    def first_broken(self, prompt: int, ids: Sequence[int]) -> BrokenRow | None:
        """Where a row that ``generate`` gives back was broken; None where it was nowhere.

        Args:
            prompt: whose row it is.
            ids: the whole of it.
        """
        there = (one for one in self._broken[prompt] if _begins(ids, one.ids))
        return min(there, key=lambda one: len(one.ids), default=None)

    def _note(self, input_ids: Tensor, rows: Sequence[int]) -> None:
        each = len(input_ids) // len(self._broken)
        for row in rows:
            ids, known = input_ids[row].tolist(), self._broken[row // each]
            if not any(_begins(ids, one.ids) for one in known):
                known.append(BrokenRow(tuple(ids), self._steps - 1, row))


def _begins(ids: Sequence[int], start: tuple[int, ...]) -> bool:
    return tuple(ids[: len(start)]) == start
