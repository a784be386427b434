"""The bank of one layer: of every response the K states of highest norm among its peaks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.mixing import wide
from l2_harness.interventions.row_set import SlotMap, reading_is_free


class StateBank:
    """K places a slot. A state of higher norm takes the place of the lowest.

    Args:
        n_slots: responses.
        size: K.
        width: d.
        dtype, device: of the states.
    """

    def __init__(
        self, n_slots: int, size: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        # One place more, for what is not to be kept: a step then writes without a decision.
        self._states = torch.zeros(n_slots, size + 1, width, dtype=dtype, device=device)
        self._norms = torch.full((n_slots, size + 1), -torch.inf, device=device)
        self._lowest = torch.full((n_slots,), -torch.inf, device=device)
        self._size = size

    def sizes(self) -> Tensor:
        """(n_slots,) int64, states that each slot holds."""
        return (self._norms[:, : self._size] > -torch.inf).sum(1)

    def states(self, slot: int) -> tuple[Tensor, Tensor]:
        """What a slot holds: states (k, d) and their norms (k,), the highest norm first."""
        norms, order = self._norms[slot, : self._size].sort(descending=True)
        held = norms > -torch.inf
        return self._states[slot, order[held]], norms[held]

    def store(self, slot_map: SlotMap, states: Tensor, norms: Tensor, keep: Tensor) -> None:
        """Take the states of a step that rank among the K highest of their slot.

        Args:
            slot_map: whose rows these are.
            states: (n, d).
            norms: (n,) float32.
            keep: (n,) bool, the rows that may be taken.
        """
        keep = keep & (norms > slot_map.read(self._lowest))
        if reading_is_free(keep.device) and not keep.any():
            return
        place = slot_map.read(self._norms)[:, : self._size].argmin(dim=1)
        place = torch.where(keep, place, self._size)
        flat = slot_map.index(states.device) * (self._size + 1) + place
        self._states.view(-1, states.shape[-1]).index_copy_(0, flat, states)
        self._norms.view(-1).index_copy_(0, flat, norms)
        slot_map.write(self._lowest, slot_map.read(self._norms)[:, : self._size].amin(dim=1))

    def closest(
        self, slots: Tensor, states: Tensor, norms: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The stored state of highest cosine to each of m states, the larger norm among equals.

        Args:
            slots: (m,) int64, whose bank to look in.
            states: (m, d).
            norms: (m,) float32.

        Returns:
            The stored states (m, d), their norms and cosines (m,); −inf and −inf where the
            bank is empty.
        """
        bank = self._states.index_select(0, slots)[:, : self._size]
        bank_norms = self._norms.index_select(0, slots)[:, : self._size]
        products = (wide(bank) * wide(states).unsqueeze(1)).sum(-1)
        cosines = products / (bank_norms * norms.unsqueeze(1))
        cosines = torch.where(bank_norms > 0, cosines, -torch.inf)
        highest = cosines.amax(dim=1, keepdim=True)
        place = torch.where(cosines == highest, bank_norms, -torch.inf).argmax(dim=1)
        row = torch.arange(len(slots), device=slots.device)
        return bank[row, place], bank_norms[row, place], highest.squeeze(1)

    def reset(self, slots: np.ndarray) -> None:
        """Empty the banks of responses that begin anew."""
        index = torch.from_numpy(slots).to(self._norms.device)
        self._norms[index] = -torch.inf
        self._lowest[index] = -torch.inf
