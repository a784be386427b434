"""Random numbers of rows: of all layers and of some rows ahead at once, since a step is short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.random_numbers import draw_bits, uniforms

#: Rows of a response that are drawn for together.
_AHEAD = 16


@dataclass
class _Drawn:
    """What is there for one purpose.

    Attributes:
        table: (layers, n_slots, rows ahead) float64.
        stamps: (n_slots,) int64, which rows of which response these are.
    """

    table: np.ndarray
    stamps: np.ndarray


class RowDraws:
    """Numbers in [0, 1) of the responses in slots: :func:`l2_harness.random_numbers.draw_bits`.

    Args:
        n_slots: responses at a time.
        layers: those that draw.
    """

    def __init__(self, n_slots: int, layers: Sequence[int]) -> None:
        self._n_slots = n_slots
        self._layers = np.array(layers, dtype=np.uint64)[:, None, None]
        self.place = {layer: place for place, layer in enumerate(layers)}
        self._drawn: dict[str, _Drawn] = {}

    def of(
        self,
        purpose: str,
        slots: np.ndarray,
        numbers: np.ndarray,
        keys: np.ndarray,
        rows: np.ndarray,
    ) -> np.ndarray:
        """(layers, n) float64, of one row each of some responses.

        Args:
            purpose: one that a technique declares.
            slots: (n,) where each one is, none twice.
            numbers: (n,) int64 below 2³¹, which response it is.
            keys: (n,) uint64, of its random numbers.
            rows: (n,) int64 below 2³¹, its row.
        """
        if purpose not in self._drawn:
            shape = len(self._layers), self._n_slots, _AHEAD
            self._drawn[purpose] = _Drawn(np.empty(shape), np.full(self._n_slots, -1))
        drawn = self._drawn[purpose]
        part, ahead = np.divmod(rows, _AHEAD)
        stamps = (numbers << 32) + part
        stale = drawn.stamps[slots] != stamps
        if stale.any():
            into, first = slots[stale], part[stale] * _AHEAD
            bits = draw_bits(
                keys[stale][:, None], purpose, self._layers, first[:, None] + np.arange(_AHEAD)
            )
            drawn.table[:, into] = uniforms(bits)
            drawn.stamps[into] = stamps[stale]
        return drawn.table[:, slots, ahead]
