"""The residual stream as vLLM's decoder layers hand it on.

Most return ``(hidden, residual)``, which the next layer adds up; some return their sum alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def stream_parts(output: Any) -> tuple[Tensor, Tensor | None]:
    """What a layer returned: hidden (n, d), and the residual (n, d) if it comes apart."""
    if isinstance(output, Tensor):
        return output, None
    hidden, residual = output[0], output[1] if len(output) > 1 else None
    return hidden, residual if isinstance(residual, Tensor) else None


def stream(hidden: Tensor, residual: Tensor | None) -> Tensor:
    """The state after the layer, (n, d)."""
    return hidden if residual is None else hidden + residual


def put_stream(
    hidden: Tensor, residual: Tensor | None, rows: Tensor | slice, before: Tensor, after: Tensor
) -> None:
    """Change the states of some rows in place; a row that stays as it is isn't touched.

    Args:
        hidden: (n, d) that the layer returned.
        residual: (n, d), or None.
        rows: (m,) the rows that ``before`` and ``after`` are of, or the leading ones.
        before: (m, d) their states.
        after: (m, d) the new ones.
    """
    same = (after == before).all(dim=-1, keepdim=True)
    if residual is None:
        hidden[rows] = torch.where(same, hidden[rows], after)
        return
    residual[rows] = torch.where(same, residual[rows], after)
    hidden[rows] = torch.where(same, hidden[rows], torch.zeros_like(after))
