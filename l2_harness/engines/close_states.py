"""Whether two computations of the same states agree."""

from __future__ import annotations

import torch
from torch import Tensor


def close_states(found: Tensor, expected: Tensor) -> bool:
    """Whether each of two (m, d) tensors' rows are equal, as far as their type allows."""
    tolerance = 1e-3 if expected.dtype in (torch.float32, torch.float64) else 3e-2
    error = (found.float() - expected.float()).norm(dim=-1)
    return bool((error <= tolerance * expected.float().norm(dim=-1)).all())
