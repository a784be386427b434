"""τ of one layer: the row's norm enters first, then τ is taken, then the row is judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.responses import Pass
from l2_harness.interventions.row_set import RowSet, Waves
from l2_harness.norms.quantile_sketch import QuantileSketch
from l2_harness.norms.row_norms import infinity
from l2_harness.norms.running_quantiles import NextQuantiles, RunningQuantiles
from l2_harness.norms.sinks import without_sinks

#: Least Q3 − Q1: a response whose norms hardly differ has no peaks.
LEAST_IQR = 1e-3
QUARTILES = (0.25, 0.75)


@dataclass
class JudgedRows:
    """What the thresholds say of n rows of one layer.

    Attributes:
        norms: (n,) float32, of the layer's own output, +inf where it is not finite.
        tau: (n,) float32, NaN while there is none; of no meaning where the norm is not finite.
        quantiles: quantile of the norms so far → (n,) float32, like τ.
    """

    norms: Tensor
    tau: Tensor
    quantiles: dict[float, Tensor]

    @cached_property
    def finite(self) -> Tensor:
        """(n,) bool."""
        return self.norms < infinity(self.norms.device)

    @cached_property
    def peaks(self) -> Tensor:
        """(n,) bool, finite norms above τ."""
        return (self.norms > self.tau) & self.finite

    @classmethod
    def joined(cls, waves: Waves, parts: Sequence[JudgedRows]) -> JudgedRows:
        """That of all rows, from one for each part."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            waves.join([part.norms for part in parts]),
            waves.join([part.tau for part in parts]),
            {q: waves.join([part.quantiles[q] for part in parts]) for q in parts[0].quantiles},
        )


class NormQuantiles(Protocol):
    """Quantiles of the norms so far, in one scope, of the layers on one device."""

    def begin(self, layer: int, current: Pass, norms: Tensor) -> None:
        """Take what counts before any row is judged, norms: (pass,) float32."""

    def step(self, layer: int, wave: RowSet, norms: Tensor) -> Tensor:
        """Take a wave's norms: (n,), +inf where not finite; the quantiles, (Q, n)."""

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""


class RequestQuantiles:
    """Scope ``request``: each response's own norms, exactly.

    The norms of a wave enter, for all layers at once, when the next wave comes. What a row's own
    norm makes of the quantiles is known without: it moves each by one place at most.
    """

    def __init__(self, n_slots: int, quantiles: Sequence[float], device: torch.device) -> None:
        self._running = RunningQuantiles(n_slots, quantiles, device)
        self._n_slots = n_slots
        self._groups: dict[int, int] = {}
        # Prompt rows of responses none of whose rows has been judged, which may come in parts.
        self._waiting: dict[int, list[tuple[np.ndarray, Tensor]]] = defaultdict(list)
        self._wave: RowSet | None = None
        self._next: list[NextQuantiles] = []
        self._held: list[Tensor] = []
        self._entering: dict[int, Tensor] = {}  # group → (n,) norms of the wave

    def begin(self, layer: int, current: Pass, norms: Tensor) -> None:
        """Take the prompt's rows, if they count: once all of them are there."""
        if layer not in self._groups:
            self._settle()
            self._groups[layer] = self._running.add_group()
        if current.context is not None:
            where = torch.from_numpy(current.context.index).to(norms.device)
            self._waiting[layer].append((current.context.slots, norms[where]))
        if self._waiting[layer]:
            self._take_prompts(layer, current.judged.slots)

    def step(self, layer: int, wave: RowSet, norms: Tensor) -> Tensor:
        """Take one norm a response; its quantiles with it."""
        if wave is not self._wave:
            self._settle()
            self._look_ahead(wave)
        group = self._groups[layer]
        after = self._next[group].of(norms)
        if wave.all_count:
            self._entering[group] = norms
            return after
        counts = wave.tensor("counts", lambda: wave.counts, norms.device)
        if wave.counts.any():
            self._entering[group] = torch.where(counts, norms, torch.inf)
        return torch.where(counts, after, self._held[group])

    def reset(self, slots: np.ndarray) -> None:
        """Forget the norms of responses that begin anew."""
        self._settle()
        self._running.reset(slots)
        for layer in self._waiting:
            self._take_waiting(layer, slots)

    def _look_ahead(self, wave: RowSet) -> None:
        """What the quantiles of a wave's responses will be."""
        slot_map, coming = wave.slot_map, self._running.next()
        assert slot_map is not None
        index = None if slot_map.dense else slot_map.index(coming.lowest.device)
        self._next = (coming if index is None else coming.of_slots(index)).groups()
        if not wave.all_count:
            held = self._running.read()
            self._held = list((held if index is None else held.index_select(2, index)).unbind(1))
        self._wave = wave

    def _settle(self) -> None:
        """The norms of the latest wave enter."""
        wave, self._wave = self._wave, None
        if wave is None or not self._entering:
            return
        assert wave.slot_map is not None
        slots = slice(None) if wave.slot_map.dense else wave.slot_map.slots
        if len(self._entering) == len(self._groups):
            values = torch.stack([self._entering[group] for group in range(len(self._groups))])
            self._running.add(wave.slot_map.spread(values, torch.inf), slots)
        else:
            for group, values in self._entering.items():
                self._running.add(wave.slot_map.spread(values, torch.inf), slots, group)
        self._entering = {}

    def _take_prompts(self, layer: int, slots: np.ndarray) -> None:
        """Enter the prompts of some slots, without their sinks."""
        parts = self._take_waiting(layer, slots)
        if parts:
            self._settle()
            entering = np.concatenate([own for own, _ in parts])
            table, number = _by_slot(entering, torch.cat([n for _, n in parts]), self._n_slots)
            self._running.add_many(self._groups[layer], without_sinks(table), number)

    def _take_waiting(self, layer: int, slots: np.ndarray) -> list[tuple[np.ndarray, Tensor]]:
        """The waiting rows of some slots, which wait no longer."""
        waiting, self._waiting[layer] = self._waiting[layer], []
        taken: list[tuple[np.ndarray, Tensor]] = []
        for own, norms in waiting:
            goes = np.isin(own, slots)
            for part, into in ((goes, taken), (~goes, self._waiting[layer])):
                if part.any():
                    where = torch.from_numpy(np.flatnonzero(part)).to(norms.device)
                    into.append((own[part], norms[where]))
        return taken


class PooledQuantiles:
    """Scope ``pooled``: all rows of the run so far; one object a run.

    All rows of a pass enter before the first is judged. A replay's rows do not enter again.
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        self._sketches: dict[int, QuantileSketch] = defaultdict(lambda: QuantileSketch(quantiles))

    def begin(self, layer: int, current: Pass, norms: Tensor) -> None:
        """Take all rows of the pass that count and are new."""
        sketch = self._sketches[layer]
        new, index = current.is_new & current.judged.counts, current.judged.index
        if index is None and new.all():
            sketch.add(norms)
        else:
            where = np.flatnonzero(new) if index is None else index[new]
            sketch.add(norms[torch.from_numpy(where).to(norms.device)])
        if current.context is not None and current.context.is_new.any():
            new = current.context.is_new
            where = torch.from_numpy(current.context.index[new]).to(norms.device)
            slots = current.context.slots[new]
            table, _ = _by_slot(slots, norms[where], int(slots.max()) + 1)
            sketch.add(without_sinks(table).flatten())

    def step(self, layer: int, wave: RowSet, norms: Tensor) -> Tensor:
        """The pool's quantiles, the same for every row."""
        found = self._sketches[layer].read().to(norms.device)
        return found.unsqueeze(1).expand(-1, len(wave))

    def reset(self, slots: np.ndarray) -> None:
        """The pool keeps what it has seen."""


class LayerThreshold:
    """Judges the rows of one layer.

    Args:
        layer: its index.
        k: of the IQR rule, or None for a fixed value.
        fixed: the fixed (or calibrated) value.
        statistics: where quantiles come from; None if neither the rule nor a technique asks.
        quantiles: what the columns of ``statistics`` are.
    """

    def __init__(
        self,
        layer: int,
        k: float | None,
        fixed: float | None,
        statistics: NormQuantiles | None,
        quantiles: Sequence[float],
    ) -> None:
        self._layer = layer
        self._k = k
        self._fixed = fixed
        self._statistics = statistics
        self._quantiles = tuple(quantiles)

    def begin(self, current: Pass, norms: Tensor) -> None:
        """Before any row of a pass is judged, norms: (pass,) float32, +inf if not finite."""
        if self._statistics is not None:
            self._statistics.begin(self._layer, current, norms)

    def judge(self, wave: RowSet, norms: Tensor) -> JudgedRows:
        """Take a wave's norms and judge them, norms: (n,) float32, +inf if not finite."""
        quantiles: dict[float, Tensor] = {}
        if self._statistics is not None:
            found = self._statistics.step(self._layer, wave, norms).unbind(0)
            quantiles = dict(zip(self._quantiles, found, strict=True))
        return JudgedRows(norms, self._tau(norms, quantiles), quantiles)

    def _tau(self, norms: Tensor, quantiles: dict[float, Tensor]) -> Tensor:
        if self._k is None:
            assert self._fixed is not None
            return norms.new_full((1,), self._fixed).expand(len(norms))
        return iqr_threshold(quantiles[QUARTILES[0]], quantiles[QUARTILES[1]], self._k)


def iqr_threshold(first: Tensor, third: Tensor, k: float) -> Tensor:
    """τ = Q3 + k·(Q3 − Q1), the difference floored at :data:`LEAST_IQR`; any shape."""
    return torch.add(third, (third - first).clamp_min(LEAST_IQR), alpha=k)


def _by_slot(slots: np.ndarray, norms: Tensor, n_slots: int) -> tuple[Tensor, np.ndarray]:
    """Norms in a column a slot, +inf beyond their number; that number.

    Args:
        slots: (n,) whose they are.
        norms: (n,) float32.
        n_slots: how many columns.
    """
    entering = np.bincount(slots, minlength=n_slots)
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    turn = np.arange(len(ordered)) - (np.cumsum(entering) - entering)[ordered]
    table = norms.new_full((int(entering.max()), n_slots), torch.inf)
    where, turns, columns = (torch.from_numpy(a).to(norms.device) for a in (order, turn, ordered))
    table[turns, columns] = norms[where]
    return table, entering
