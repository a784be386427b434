"""Sums of hidden states over the rows of responses that leave the batch one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class StateSums:
    """One running sum a response and layer, on the device until :meth:`take`."""

    def __init__(self) -> None:
        self._responses: list[int] = []
        self._running: Tensor | None = None
        self._ended: dict[int, Tensor] = {}

    def add(self, responses: Sequence[int], states: Tensor) -> None:
        """Add one step; a response that was there before and is not any more has ended.

        Args:
            responses: which response each row belongs to.
            states: (layers, rows, d) of any float type; summed in float32 or wider.
        """
        wide = states if states.dtype == torch.float64 else states.float()
        if self._running is None:
            self._running = wide.clone()
        else:
            if list(responses) != self._responses:
                self._move(list(responses))
            self._running += wide
        self._responses = list(responses)

    def take(self) -> dict[int, np.ndarray]:
        """The sum of every response, (layers, d), on the host; nothing is left afterwards."""
        if self._running is not None:
            self._move([])
        sums = {response: total.cpu().numpy() for response, total in self._ended.items()}
        self._responses, self._running, self._ended = [], None, {}
        return sums

    def _move(self, responses: list[int]) -> None:
        """Keep the sums of ``responses`` running, in this order, and put those of others aside."""
        assert self._running is not None
        place = {response: row for row, response in enumerate(self._responses)}
        for response in place.keys() - set(responses):
            self._ended[response] = self._running[:, place[response]].clone()
        index = torch.tensor([place[response] for response in responses], dtype=torch.int64)
        self._running = self._running[:, index.to(self._running.device)]
