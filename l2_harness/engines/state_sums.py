"""Sums of hidden states over the rows of responses that come and go."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor


class StateSums:
    """One sum a response and layer, on the device until :meth:`take`."""

    def __init__(self) -> None:
        self._responses: list[int] = []
        self._running: Tensor | None = None  # of these responses: (layers, rows, d)
        self._aside: dict[int, Tensor] = {}

    def add(self, responses: Sequence[int], states: Tensor) -> None:
        """Add one step.

        Args:
            responses: which response each row belongs to.
            states: (layers, rows, d) of any float type; summed in float32 or wider.
        """
        wide = states if states.dtype == torch.float64 else states.float()
        if self._running is None or list(responses) != self._responses:
            self._put_aside()
            zero = wide.new_zeros(wide[:, 0].shape)
            sums = [self._aside.pop(response, zero) for response in responses]
            self._responses, self._running = list(responses), torch.stack(sums, dim=1)
        self._running += wide

    def take(self, responses: Collection[int]) -> dict[int, np.ndarray]:
        """The sums of those of some responses that have one, (layers, d), on the host."""
        self._put_aside()
        known = [response for response in responses if response in self._aside]
        return {response: self._aside.pop(response).cpu().numpy() for response in known}

    def _put_aside(self) -> None:
        if self._running is not None:
            self._aside.update(zip(self._responses, self._running.unbind(1), strict=True))
        self._responses, self._running = [], None
