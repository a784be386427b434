"""StALT: how far hidden states move from token to token, in the layers that change a token most.

Furuya and Tanimura, arXiv 2605.01853, "Spatiotemporal Amplitude of Latent Transition". With h(t, l)
the output of layer l at token t:

    moved(t, l)   = ‖h(t, l) − h(t − 1, l)‖
    changed(t, l) = ‖h(t, l) − h(t, l − 1)‖
    weight(t, ·)  = softmax of changed(t, ·) / τ,  τ = 1
    StALT         = mean over t ≥ 2 of Σ over l of weight(t, l) · moved(t, l)

The paper's l runs over all layers, the embedding standing before the first. Here it runs over the
monitored layers but the first, which stands before the second: ``layers=all`` comes closest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

TEMPERATURE = 1.0


def weighted_move(before: Tensor, now: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """(rows,) float32 Σ weight · moved of one step.

    Args:
        before: (layers, rows, d), the states at the rows' tokens before.
        now: (layers, rows, d).
        temperature: of the softmax over layers.
    """
    wide = now.float()
    moved = torch.linalg.vector_norm(wide[1:] - before[1:].float(), dim=-1)
    changed = torch.linalg.vector_norm(wide[1:] - wide[:-1], dim=-1)
    return ((changed / temperature).softmax(0) * moved).sum(0)


class StateMoves:
    """The mean move of each response, of which steps are added one by one."""

    def __init__(self) -> None:
        self._before: tuple[dict[int, int], Tensor] | None = None
        self._steps: list[tuple[list[int], Tensor]] = []

    def add(self, responses: Sequence[int], states: Tensor) -> None:
        """Add one step; a response that was not there in the last one begins.

        Args:
            responses: which response each row belongs to.
            states: (layers, rows, d) of any float type.
        """
        if self._before is not None:
            place, before = self._before
            both = [row for row, response in enumerate(responses) if response in place]
            own = [place[responses[row]] for row in both]
            whole = len(both) == len(responses) and own == list(range(before.shape[1]))
            now = states if whole else states[:, both]
            move = weighted_move(before if whole else before[:, own], now)
            self._steps.append(([responses[row] for row in both], move))
        self._before = {response: row for row, response in enumerate(responses)}, states

    def take(self) -> dict[int, float]:
        """The mean of every response with two steps or more; nothing is left afterwards."""
        moves: dict[int, list[float]] = {}
        values = torch.cat([move for _, move in self._steps]).tolist() if self._steps else []
        of = [response for responses, _ in self._steps for response in responses]
        for response, value in zip(of, values, strict=True):
            moves.setdefault(response, []).append(value)
        self._before, self._steps = None, []
        return {response: float(np.mean(own)) for response, own in moves.items()}
