"""‖h‖₂ of hidden states, in float32."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def row_norms(states: Tensor) -> Tensor:
    """‖h‖₂ of each state, states: (…, d) of any float type; (…,) float32.

    Narrower types are summed in float32; float64 is summed in float64 and then narrowed.
    """
    if states.dtype == torch.float64:  # which vector_norm does not narrow
        return torch.linalg.vector_norm(states, dim=-1).float()
    return torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32)


def finite_row_norms(states: Tensor) -> Tensor:
    """Like :func:`row_norms`, with +inf for every state that is not finite.

    A norm beyond float32's range counts as not finite too.
    """
    return torch.fmin(row_norms(states), infinity(states.device))


@cache
def infinity(device: torch.device) -> Tensor:
    """+inf as a float32 tensor: operations with it take a third of those with a number."""
    with torch.inference_mode(False):
        return torch.tensor(torch.inf, device=device)
