"""τ of one layer: the row's norm enters first, then τ is taken, then the row is judged."""

from __future__ import annotations

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
from l2_harness.norms.running_quantiles import RunningQuantiles
from l2_harness.norms.sinks import without_sinks

#: Least Q3 − Q1: a response whose norms hardly differ has no peaks.
LEAST_IQR = 1e-3
QUARTILES = (0.25, 0.75)


@dataclass
class JudgedRows:
    """What the thresholds say of n rows of one layer.

    Attributes:
        norms: (n,) float32, of the layer's own output, +inf where it is not finite.
        finite: (n,) bool.
        tau: (n,) float32, NaN while there is none.
        quantiles: quantile of the norms so far → (n,) float32.
    """

    norms: Tensor
    finite: Tensor
    tau: Tensor
    quantiles: dict[float, Tensor]

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
            waves.join([part.finite for part in parts]),
            waves.join([part.tau for part in parts]),
            {q: waves.join([part.quantiles[q] for part in parts]) for q in parts[0].quantiles},
        )


class NormQuantiles(Protocol):
    """Quantiles of the norms so far, in one scope."""

    def begin(self, current: Pass, norms: Tensor) -> None:
        """Take what counts before any row is judged, norms: (pass,) float32."""

    def step(self, wave: RowSet, norms: Tensor, finite: Tensor) -> Tensor:
        """Take a wave's norms: (n,), those that are finite: (n,) bool; quantiles, (Q, n)."""

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""


class RequestQuantiles:
    """Scope ``request``: each response's own norms, exactly."""

    def __init__(self, n_slots: int, quantiles: Sequence[float], device: torch.device) -> None:
        self._running = RunningQuantiles(n_slots, quantiles, device)
        self._n_slots = n_slots
        # Prompt rows of responses none of whose rows has been judged, which may come in parts.
        self._waiting: list[tuple[np.ndarray, Tensor]] = []

    def begin(self, current: Pass, norms: Tensor) -> None:
        """Take the prompt's rows, if they count: once all of them are there."""
        if current.context is not None:
            where = torch.from_numpy(current.context.index).to(norms.device)
            self._waiting.append((current.context.slots, norms[where]))
        if self._waiting:
            self._take_prompts(current.judged.slots)

    def step(self, wave: RowSet, norms: Tensor, finite: Tensor) -> Tensor:
        """Take one norm a response, then read its quantiles."""
        slot_map = wave.slot_map
        assert slot_map is not None
        if not wave.all_count:
            counts = wave.tensor("counts", lambda: wave.counts, norms.device)
            norms, finite = torch.where(counts, norms, torch.inf), finite & counts
        if slot_map.dense:
            self._running.add(norms, finite)
        elif wave.counts.any():
            norms, finite = slot_map.spread(norms, torch.inf), slot_map.spread(finite, False)
            self._running.add(norms, finite, slot_map.slots)
        quantiles = self._running.read()
        return quantiles if slot_map.dense else quantiles[:, slot_map.index(norms.device)]

    def reset(self, slots: np.ndarray) -> None:
        """Forget the norms of responses that begin anew."""
        self._running.reset(slots)
        self._take_waiting(slots)

    def _take_prompts(self, slots: np.ndarray) -> None:
        """Enter the prompts of some slots, without their sinks."""
        parts = self._take_waiting(slots)
        if parts:
            entering = np.concatenate([own for own, _ in parts])
            table, number = _by_slot(entering, torch.cat([n for _, n in parts]), self._n_slots)
            self._running.add_many(without_sinks(table), number)

    def _take_waiting(self, slots: np.ndarray) -> list[tuple[np.ndarray, Tensor]]:
        """The waiting rows of some slots, which wait no longer."""
        waiting, self._waiting = self._waiting, []
        taken: list[tuple[np.ndarray, Tensor]] = []
        for own, norms in waiting:
            goes = np.isin(own, slots)
            for part, into in ((goes, taken), (~goes, self._waiting)):
                if part.any():
                    where = torch.from_numpy(np.flatnonzero(part)).to(norms.device)
                    into.append((own[part], norms[where]))
        return taken


class PooledQuantiles:
    """Scope ``pooled``: all rows of the run so far; one object a layer and a run.

    All rows of a pass enter before the first is judged. A replay's rows do not enter again.
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        self._sketch = QuantileSketch(quantiles)

    def begin(self, current: Pass, norms: Tensor) -> None:
        """Take all rows of the pass that count and are new."""
        new, index = current.is_new & current.judged.counts, current.judged.index
        if index is None and new.all():
            self._sketch.add(norms)
        else:
            where = np.flatnonzero(new) if index is None else index[new]
            self._sketch.add(norms[torch.from_numpy(where).to(norms.device)])
        if current.context is not None and current.context.is_new.any():
            new = current.context.is_new
            where = torch.from_numpy(current.context.index[new]).to(norms.device)
            slots = current.context.slots[new]
            table, _ = _by_slot(slots, norms[where], int(slots.max()) + 1)
            self._sketch.add(without_sinks(table).flatten())

    def step(self, wave: RowSet, norms: Tensor, finite: Tensor) -> Tensor:
        """The pool's quantiles, the same for every row."""
        return self._sketch.read().to(norms.device).unsqueeze(1).expand(-1, len(wave))

    def reset(self, slots: np.ndarray) -> None:
        """The pool keeps what it has seen."""


class LayerThreshold:
    """Judges the rows of one layer.

    Args:
        k: of the IQR rule, or None for a fixed value.
        fixed: the fixed (or calibrated) value.
        statistics: where quantiles come from; None if neither the rule nor a technique asks.
        quantiles: what the columns of ``statistics`` are.
    """

    def __init__(
        self,
        k: float | None,
        fixed: float | None,
        statistics: NormQuantiles | None,
        quantiles: Sequence[float],
    ) -> None:
        self._k = k
        self._fixed = fixed
        self._statistics = statistics
        self._quantiles = tuple(quantiles)

    def begin(self, current: Pass, norms: Tensor) -> None:
        """Before any row of a pass is judged, norms: (pass,) float32, +inf if not finite."""
        if self._statistics is not None:
            self._statistics.begin(current, norms)

    def judge(self, wave: RowSet, norms: Tensor) -> JudgedRows:
        """Take a wave's norms and judge them, norms: (n,) float32, +inf if not finite."""
        finite = norms < infinity(norms.device)
        quantiles: dict[float, Tensor] = {}
        if self._statistics is not None:
            found = self._statistics.step(wave, norms, finite).unbind(0)
            quantiles = dict(zip(self._quantiles, found, strict=True))
        return JudgedRows(norms, finite, self._tau(norms, quantiles), quantiles)

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""
        if self._statistics is not None:
            self._statistics.reset(slots)

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
