"""Sums of states in the precision that their type calls for."""

from __future__ import annotations

import torch
from torch import Tensor

from l2_harness.norms.row_norms import row_norms


def wide(states: Tensor) -> Tensor:
    """float32 for narrower types; float32 and float64 as they are."""
    return states if states.dtype in (torch.float32, torch.float64) else states.float()


def weighted_sum(first: Tensor, share: float, second: Tensor, other: float) -> Tensor:
    """share·first + other·second, in ``first``'s type; both (n, d)."""
    return (share * wide(first) + other * wide(second)).to(first.dtype)


def scaled(states: Tensor, ratio: Tensor) -> Tensor:
    """Each state times its ratio, states: (n, d), ratio: (n,) float32; type kept."""
    full = wide(states)
    return (full * ratio.unsqueeze(1).to(full.dtype)).to(states.dtype)


def where_rows(mask: Tensor, changed: Tensor, otherwise: Tensor) -> Tensor:
    """Rows of ``changed`` where mask: (n,) holds, both (n, d)."""
    return torch.where(mask.unsqueeze(1), changed, otherwise)


def relative_change(before: Tensor, after: Tensor, norms: Tensor | None = None) -> Tensor:
    """‖after − before‖/‖before‖ of states (n, d), (n,) float32; 0 for a state of norm 0.

    Args:
        before: (n, d) states.
        after: (n, d) the same, changed.
        norms: (n,) float32, ‖before‖ where it is known.
    """
    norms = row_norms(before) if norms is None else norms
    change = row_norms(wide(after) - wide(before)) / norms
    return torch.where(norms > 0, change, 0.0)
