"""The next token of every row: the likeliest one, or one drawn with the response's own number."""

from __future__ import annotations

import torch
from torch import Tensor


def likeliest(scores: Tensor) -> Tensor:
    """(rows,) int64, the argmax of scores: (rows, vocabulary); the first of equals."""
    return scores.argmax(-1)


def drawn(scores: Tensor, uniforms: Tensor) -> Tensor:
    """A draw from the softmax of each row, by inversion of its distribution function.

    Exact like multinomial or Gumbel-max sampling, but it takes one number a row in place of
    one a row and token, so the numbers of a whole response are known before it begins and no
    row depends on which others are drawn beside it.

    Args:
        scores: (rows, vocabulary) warped logits, −inf for tokens that are ruled out.
        uniforms: (rows,) float64 in (0, 1), on the scores' device.

    Returns:
        (rows,) int64.
    """
    if scores.device.type == "mps":  # which has no float64
        return drawn(scores.cpu(), uniforms.cpu()).to(scores.device)
    distribution = scores.softmax(-1).cumsum(-1, dtype=torch.float64)
    # the sum is 1 up to rounding: what is missing must not fall beyond the last token
    aims = uniforms.unsqueeze(-1) * distribution[:, -1:]
    # the first token whose share ends beyond the aim; a ruled-out one has no share
    return torch.searchsorted(distribution, aims, right=True).squeeze(-1)
