"""Edits that a random control owes: earned by a trigger or by a plan, made at rows to come."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.row_set import SlotMap

#: With one credit a row is taken with this probability: on average the random row comes two rows
#: after its trigger. The longer it waits, the more is left over when a response ends.
SPENDING = 0.5


class Credits:
    """A count a response: the trigger earns a credit, a random later row spends it.

    A row is taken with probability ``min(1, SPENDING · credits)``, from the credits of earlier
    rows, so that the row's own trigger does not matter. What a response's end leaves over is
    how many rows the control is behind.
    """

    def __init__(self, n_slots: int, device: torch.device) -> None:
        self.left = torch.zeros(n_slots, device=device)

    def spend(self, slot_map: SlotMap, draws: Tensor, earned: Tensor, allowed: Tensor) -> Tensor:
        """Which rows are taken, (n,) bool.

        Args:
            slot_map: whose rows these are.
            draws: (n,) random numbers in [0, 1).
            earned: (n,) bool, rows that pull the trigger.
            allowed: (n,) bool, rows that may be taken.
        """
        before = slot_map.read(self.left)
        taken = (draws < before * SPENDING) & allowed
        slot_map.write(self.left, before + earned.float() - taken.float())
        return taken

    def pay(self, slot_map: SlotMap, due: Tensor, allowed: Tensor) -> Tensor:
        """Which rows are taken, (n,) bool: those that are due, or the next that are allowed.

        Args:
            slot_map: whose rows these are.
            due: (n,) bool, rows at which an edit is planned.
            allowed: (n,) bool, rows that may be taken.
        """
        owed = slot_map.read(self.left) + due.float()
        taken = (owed > 0) & allowed
        slot_map.write(self.left, owed - taken.float())
        return taken

    def give_back(self, slots: np.ndarray, undone: Tensor) -> None:
        """Rows that were taken and then left as they were: slots (n,), undone (n,) bool."""
        index = torch.from_numpy(slots).to(self.left.device)
        self.left.index_add_(0, index, undone.float())

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""
        self.left[torch.from_numpy(slots).to(self.left.device)] = 0
