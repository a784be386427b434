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

from collections import defaultdict
from collections.abc import Collection, Sequence

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
    """The mean move of each response; responses come and go."""

    def __init__(self) -> None:
        self._responses: list[int] = []
        self._latest: Tensor | None = None  # of these responses: (layers, rows, d)
        self._aside: dict[int, Tensor] = {}
        self._steps: list[tuple[list[int], Tensor]] = []
        self._moves: defaultdict[int, list[float]] = defaultdict(list)

    def add(self, responses: Sequence[int], states: Tensor) -> None:
        """Add one step.

        Args:
            responses: which response each row belongs to.
            states: (layers, rows, d) of any float type.
        """
        responses = list(responses)
        if responses != self._responses:
            self._put_aside()
            known = [row for row, response in enumerate(responses) if response in self._aside]
            if known:
                before = [self._aside.pop(responses[row]) for row in known]
                move = weighted_move(torch.stack(before, dim=1), states[:, known])
                self._steps.append(([responses[row] for row in known], move))
        elif self._latest is not None:
            self._steps.append((responses, weighted_move(self._latest, states)))
        self._responses, self._latest = responses, states

    def take(self, responses: Collection[int]) -> dict[int, float]:
        """The mean of those of some responses with two steps or more; these are over."""
        self._put_aside()
        self._read()
        for response in responses:
            self._aside.pop(response, None)
        found = {response: self._moves.pop(response, []) for response in responses}
        return {response: float(np.mean(own)) for response, own in found.items() if own}

    def _put_aside(self) -> None:
        if self._latest is not None:
            self._aside.update(zip(self._responses, self._latest.unbind(1), strict=True))
        self._responses, self._latest = [], None

    def _read(self) -> None:
        """Move the steps so far to the host."""
        values = torch.cat([move for _, move in self._steps]).tolist() if self._steps else []
        of = [response for responses, _ in self._steps for response in responses]
        for response, value in zip(of, values, strict=True):
            self._moves[response].append(value)
        self._steps = []
