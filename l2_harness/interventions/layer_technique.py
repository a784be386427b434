"""What a technique is at one layer, and what it is given there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.edit_plans import EditPlans
from l2_harness.interventions.responses import Pass
from l2_harness.interventions.row_set import RowSet, Waves
from l2_harness.interventions.step_log import StepLog
from l2_harness.interventions.thresholds import JudgedRows
from l2_harness.norms.row_norms import finite_row_norms

#: Runs a layer on states: (m, d), those of the rows (m,) int64 of the states that it was
#: handed, reading the cache of the first pass and writing nothing; (m, d).
RunAgain = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class LayerPlace:
    """Where a technique acts.

    Attributes:
        layer: its index.
        n_slots: responses at a time.
        width, dtype, device: of the layer's states.
        log: what happens is noted there.
        shared: what the technique's layers share, or None.
        plans: where random controls edit, if they match a recorded run.
    """

    layer: int
    n_slots: int
    width: int
    dtype: torch.dtype
    device: torch.device
    log: StepLog
    shared: Any = None
    plans: EditPlans | None = None


@dataclass(frozen=True, eq=False)
class LayerRows:
    """The response rows of one pass at one layer.

    Attributes:
        rows: all of them.
        waves: the same in parts with at most one row a response.
        own: (n, d) the layer's own output.
        judged: of the layer's own output.
        parts: the same for each wave.
        run_again: runs the layer on other states of the pass; None where that is not possible.
    """

    rows: RowSet
    waves: Waves
    own: Tensor
    judged: JudgedRows
    parts: Sequence[JudgedRows]
    run_again: RunAgain | None

    def norms(self, hidden: Tensor) -> Tensor:
        """(n,) float32 of states after other techniques, hidden: (n, d); +inf if not finite."""
        return self.judged.norms if hidden is self.own else finite_row_norms(hidden)


class LayerTechnique(Protocol):
    """The state that a technique has at one layer."""

    def edit(self, at: LayerRows, hidden: Tensor) -> Tensor:
        """The states after the technique, hidden: (n, d) those of ``at.rows`` before it.

        ``hidden`` itself, or a tensor of its type; it is not changed.
        """

    def at_end(self) -> Mapping[str, Tensor]:
        """Counter → (n_slots,) what the state itself holds, of the technique's counters."""

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""


class Shared(Protocol):
    """What a technique's layers share in a pipeline."""

    def start(self, slot: int, scored: bool) -> None:
        """A response begins in a slot."""

    def check(self, current: Pass) -> None:
        """Refuse a pass that the technique cannot work on.

        Raises:
            ValueError: saying why.
        """
