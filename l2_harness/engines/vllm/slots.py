"""Places of responses that are decoded side by side, and sums of their states."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Slots:
    """Which places are free, and a sum of states in each.

    Args:
        n: most responses at a time.
        layers: of which states are summed; 0: of none.

    Attributes:
        rows: (m,) int64, whose row each one of the pass under way is.
    """

    def __init__(self, n: int, layers: int = 0) -> None:
        self.rows = np.empty(0, dtype=np.int64)
        self._n, self._n_layers = n, layers
        self._free = list(range(n))[::-1]
        self._sums: Tensor | None = None

    def occupy(self) -> int:
        """A free place.

        Raises:
            RuntimeError: there is none.
        """
        if not self._free:
            raise RuntimeError(
                f"More than {self._n} responses are under way at a time, which max_num_seqs rules "
                "out: this vLLM schedules requests in a way that is not known here."
            )
        return self._free.pop()

    def free(self, slot: int) -> np.ndarray | None:
        """A response is over: its sums (layers, d), if there are any."""
        self._free.append(slot)
        if self._sums is None:
            return None
        sums: np.ndarray = self._sums[:, slot].clone().cpu().numpy()
        self._sums[:, slot] = 0
        return sums

    def add(self, layer: int, states: Tensor, counted: np.ndarray) -> None:
        """Add the states of the pass's rows at one of the layers.

        Args:
            layer: which of the summed layers.
            states: (m, d).
            counted: (m,) bool, those that count.
        """
        if self._sums is None:
            shape = self._n_layers, self._n, states.shape[-1]
            self._sums = torch.zeros(shape, dtype=torch.float32, device=states.device)
        where = torch.from_numpy(self.rows[counted]).to(states.device)
        kept = torch.from_numpy(np.flatnonzero(counted)).to(states.device)
        self._sums[layer].index_add_(0, where, states[kept].float())
