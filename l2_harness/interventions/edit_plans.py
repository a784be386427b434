"""Where a random control edits: as many rows as a recorded run edited, drawn near them.

A control that answers the triggers of its own response can only follow them, so it lags behind,
and owes edits when the response ends. One that knows what the technique did to the same question
has as many edits, around the same places, before it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.row_set import RowSet
from l2_harness.random_numbers import draw_bits, uniforms

#: Most rows from an edit to the one that answers it.
REACH = 16


@dataclass(frozen=True, eq=False)
class RecordedEdits:
    """The states of one response that a recorded run changed.

    Attributes:
        n_rows: rows that the recorded response had.
        rows: (technique, layer) → (m,) int64 ascending, the rows changed there.
    """

    n_rows: int
    rows: Mapping[tuple[str, int], np.ndarray]


class EditPlans:
    """The rows at which each response of a pipeline is due for an edit.

    Args:
        n_slots: responses at a time.
        first: technique → the first row that it may edit.
    """

    def __init__(self, n_slots: int, first: Mapping[str, int]) -> None:
        self._n_slots = n_slots
        self._first = dict(first)
        self._due: dict[tuple[str, int], np.ndarray] = {}

    def start(self, slot: int, key: int, edits: RecordedEdits | None) -> None:
        """A response begins in a slot; None where the recorded run has no such response."""
        for table in self._due.values():
            table[slot] = False
        for (technique, layer), rows in ({} if edits is None else edits.rows).items():
            assert edits is not None
            keys = np.full(len(rows), key, dtype=np.uint64)
            draws = uniforms(draw_bits(keys, f"{technique}_place", layer, rows))
            places = placed(rows, edits.n_rows, self._first[technique], draws)
            self._table(technique, layer, edits.n_rows)[slot, places] = True

    def due(self, technique: str, layer: int, wave: RowSet) -> np.ndarray:
        """(n,) bool, the rows of a wave at which an edit is due."""
        table = self._due.get((technique, layer))
        if table is None:
            return np.zeros(len(wave), dtype=bool)
        inside = wave.rows < table.shape[1]
        return np.asarray(inside & table[wave.slots, np.where(inside, wave.rows, 0)])

    def due_on(self, technique: str, layer: int, wave: RowSet, device: torch.device) -> Tensor:
        """The same on ``device``."""
        name = f"{technique} due {layer}"
        return wave.tensor(name, lambda: self.due(technique, layer, wave), device)

    def _table(self, technique: str, layer: int, n_rows: int) -> np.ndarray:
        """(n_slots, ≥ n_rows) bool of a technique at a layer."""
        known = self._due.get((technique, layer), np.zeros((self._n_slots, 0), dtype=bool))
        if known.shape[1] < n_rows:
            known = np.pad(known, ((0, 0), (0, n_rows - known.shape[1])))
            self._due[technique, layer] = known
        return known


def placed(edits: np.ndarray, n_rows: int, first: int, draws: np.ndarray) -> np.ndarray:
    """One row for each edit, none twice and none that was edited, where there are enough others.

    Each is drawn from as many rows before its edit as after it, at most :data:`REACH`, so that
    the mean place in the response stays; where that row is taken, the nearest free one is used.

    Args:
        edits: (m,) int64 distinct rows.
        n_rows: rows of the response.
        first: the first row that may be edited.
        draws: (m,) numbers in [0, 1).

    Returns:
        (m,) int64 ascending, or as many as there are rows from ``first`` on.
    """
    free = np.zeros(n_rows, dtype=bool)
    free[first:] = True
    free[edits] = False
    if free.sum() < len(edits):
        free[first:] = True
    room = np.minimum.reduce([np.full(len(edits), REACH), edits - first, n_rows - 1 - edits])
    reach = np.maximum(room, 0)
    targets = edits - reach + np.floor(draws * (2 * reach + 1)).astype(np.int64)
    taken = []
    for target in targets.tolist():
        left = np.flatnonzero(free)
        if not len(left):
            break
        row = int(left[np.abs(left - target).argmin()])
        free[row] = False
        taken.append(row)
    return np.sort(np.array(taken, dtype=np.int64))
