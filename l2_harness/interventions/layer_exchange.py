"""Edits that peaks hand on to other layers: ``suppression=shuffled``.

A peak at layer l in row t hands its edit to another monitored layer m, drawn from the response's
own stream. If m comes after l it has the edit in row t, else in row t+1, as it has run by then. A
layer that peaks itself is not edited and keeps what it was handed for its next row that is no
peak. So there are as many edits as peaks, where the peaks are but at other layers, less what the
response's end leaves over.

Of a scored continuation a pass has all rows at once, and layers before l have gone through all of
them when l peaks: there m is drawn from the later layers, and what peaks at the last monitored
layer is left over.

Which layer an edit went to is kept by row, not added up. A replay then finds what was handed on
the first time, and a row that hands on again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from l2_harness.config.suppression import SuppressionConfig
from l2_harness.interventions.responses import Pass
from l2_harness.interventions.row_set import RowSet

_ROWS = 256  # room for rows at first; doubled when it is full
_NOT_HANDED = 0  # a layer's place + 1 otherwise, and the number of layers + 1 for no layer


class LayerExchange:
    """What the layers of a pipeline have handed each other.

    Args:
        layers: the monitored layers, ascending.
        n_slots: responses at a time.
    """

    def __init__(self, layers: Sequence[int], n_slots: int) -> None:
        self._layers = tuple(layers)
        self._n_slots = n_slots
        self._scored = np.zeros(n_slots, dtype=bool)
        self._fresh: set[int] = set()  # slots whose former response is still in the table
        self._handed: Tensor | None = None  # (1 + rows, layers, n_slots) int16; row t at 1 + t

    def start(self, slot: int, scored: bool) -> None:
        """A response begins in a slot."""
        self._scored[slot] = scored
        self._fresh.add(slot)

    def check(self, current: Pass) -> None:
        """Refuse a pass that an earlier layer could not answer a later layer's peaks in.

        Raises:
            ValueError: several new rows of a response that is generated.
        """
        slots = current.judged.slots
        new = current.is_new & ~self._scored[slots]
        if len(current.waves.parts) > 1 and np.bincount(slots[new], minlength=1).max() > 1:
            raise ValueError(
                "suppression=shuffled takes one new row of a response a pass: an edit may go to "
                "an earlier layer in the next row."
            )

    def handed_to(self, layer: int, wave: RowSet, device: torch.device) -> Tensor:
        """(n,) int64, how many edits a layer is handed at a wave's rows."""
        place, n_layers = self._layers.index(layer), len(self._layers)
        sources = np.arange(n_layers)[:, None]

        def flat_index() -> np.ndarray:
            return self._flat(wave.rows - (sources > place), sources, wave.slots)

        table = self._table(wave, device)
        index = wave.tensor(f"handed to {layer}", flat_index, table.device)
        handed = table.view(-1)[index]
        return (handed == place + 1).sum(0).to(device)

    def hand_on(self, layer: int, wave: RowSet, earned: Tensor) -> None:
        """Hand the edits of some rows on, earned: (n,) bool."""
        place = self._layers.index(layer)
        table = self._table(wave, earned.device)
        targets = wave.tensor(
            f"{layer} hands to", lambda: self._targets(place, layer, wave), table.device
        )
        index = wave.tensor(
            f"handed by {layer}",
            lambda: self._flat(wave.rows, np.array(place), wave.slots),
            table.device,
        )
        kept = torch.where(earned.to(table.device), targets, _NOT_HANDED)
        table.view(-1).index_copy_(0, index, kept)

    def total(self, layer: int) -> Tensor:
        """(n_slots,) int64, edits that a layer was handed so far; the last one's also those that
        it could hand to nobody.
        """
        if self._handed is None:
            return torch.zeros(self._n_slots, dtype=torch.int64)
        place = self._layers.index(layer)
        found = self._handed == place + 1
        if place == len(self._layers) - 1:
            found = found | (self._handed > len(self._layers))
        return found.sum(dim=(0, 1)) * self._is_current()

    def _is_current(self) -> Tensor:
        """(n_slots,) bool, whether a slot's part of the table is its present response's."""
        assert self._handed is not None
        mask = np.array([slot not in self._fresh for slot in range(self._n_slots)])
        return torch.from_numpy(mask).to(self._handed.device)

    def _targets(self, place: int, layer: int, wave: RowSet) -> np.ndarray:
        """(n,) int16, the place + 1 of the layer that each row's edit goes to."""
        draws = wave.uniforms("suppression_layer", layer)
        n_layers = len(self._layers)
        other = np.floor(draws * (n_layers - 1)).astype(np.int64)
        other += other >= place
        later = place + 1 + np.floor(draws * (n_layers - 1 - place)).astype(np.int64)
        return (np.where(self._scored[wave.slots], later, other) + 1).astype(np.int16)

    def _flat(self, rows: np.ndarray, places: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Where rows lie in the flattened table, int64 of the arguments' common shape."""
        return np.asarray(((rows + 1) * len(self._layers) + places) * self._n_slots + slots)

    def _table(self, wave: RowSet, device: torch.device) -> Tensor:
        """The table with room for a wave's rows and without responses that are over."""
        needed = int(wave.rows.max(initial=0)) + 2
        if self._handed is None:
            shape = max(needed, _ROWS), len(self._layers), self._n_slots
            self._handed = torch.zeros(shape, dtype=torch.int16, device=device)
        elif len(self._handed) < needed:
            more = max(needed, 2 * len(self._handed)) - len(self._handed)
            room = self._handed.new_zeros(more, *self._handed.shape[1:])
            self._handed = torch.cat([self._handed, room])
        if self._fresh:
            over = torch.tensor(sorted(self._fresh)).to(self._handed.device)
            self._handed.index_fill_(2, over, _NOT_HANDED)
            self._fresh.clear()
        return self._handed


def exchange_of(
    config: SuppressionConfig, layers: Sequence[int], n_slots: int
) -> LayerExchange | None:
    """The exchange of a pipeline's layers, which ``shuffled`` alone needs."""
    return LayerExchange(layers, n_slots) if config.suppression == "shuffled" else None


class LayerInbox:
    """The edits that one layer was handed and has not made yet.

    Args:
        exchange: of all layers.
        layer: whose.
        n_slots: responses at a time.
        device: of the layer.
    """

    def __init__(
        self, exchange: LayerExchange, layer: int, n_slots: int, device: torch.device
    ) -> None:
        self._exchange = exchange
        self._layer = layer
        self._received = torch.zeros(n_slots, dtype=torch.int64, device=device)
        self._made = torch.zeros(n_slots, dtype=torch.int64, device=device)

    def step(self, wave: RowSet, earned: Tensor, allowed: Tensor) -> Tensor:
        """Which rows are edited, (n,) bool.

        Args:
            wave: the rows, at most one a response.
            earned: (n,) bool, rows whose edit is handed on.
            allowed: (n,) bool, rows that may be edited; none that hand on.
        """
        slot_map = wave.slot_map
        assert slot_map is not None
        arrived = self._exchange.handed_to(self._layer, wave, allowed.device)
        received = slot_map.read(self._received) + arrived
        made = slot_map.read(self._made)
        taken = (received > made) & allowed
        slot_map.write(self._received, received)
        slot_map.write(self._made, made + taken)
        self._exchange.hand_on(self._layer, wave, earned)
        return taken

    @property
    def left(self) -> Tensor:
        """(n_slots,) int64, edits that were handed here, or could go nowhere, and aren't made."""
        return self._exchange.total(self._layer).to(self._made.device) - self._made

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew; what was handed to them by row is the exchange's."""
        index = torch.from_numpy(slots).to(self._made.device)
        self._received[index] = 0
        self._made[index] = 0
