"""ALRR: a layer whose norm peaks runs again on its own output; and its controls.

Source: "The Tell-Tale Norm", arXiv 2606.06188. One object a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l2_harness.config.recursion import RecursionConfig
from l2_harness.interventions.credits import Credits
from l2_harness.interventions.layer_technique import LayerPlace, LayerRows, RunAgain
from l2_harness.interventions.mixing import relative_change, weighted_sum, where_rows
from l2_harness.interventions.row_set import RowSet
from l2_harness.interventions.thresholds import JudgedRows
from l2_harness.norms.row_norms import row_norms


@dataclass
class _Rows:
    """The rows under recursion, (m, …) each: their state h, ‖h‖, τ, and what happened."""

    states: Tensor
    norms: Tensor
    tau: Tensor
    passes: Tensor
    accepted: Tensor
    non_finite: Tensor


class LayerRecursion:
    """Recursion at one layer with one of the gates norm, always and random.

    A step needs one host synchronisation to know whether a gate is open. With R > 1 each pass
    that runs is followed by another, since a pass costs more than a look at who goes on.
    """

    def __init__(self, config: RecursionConfig, place: LayerPlace) -> None:
        self._config = config
        self._layer = place.layer
        self._log = place.log
        self._plans = place.plans
        self.credits: Credits | None = None
        if config.recursion == "random":
            self.credits = Credits(place.n_slots, place.device)

    def edit(self, at: LayerRows, hidden: Tensor) -> Tensor:
        """Gates open wave by wave; all rows with an open gate then run together.

        Raises:
            ValueError: the layer cannot run again.
        """
        rows, run_again = at.rows, at.run_again
        if not rows.editable["recursion"].any:
            return hidden
        if run_again is None:
            raise ValueError(f"Recursion at layer {self._layer} needs run_again.")
        gates = [self.gate(*both) for both in zip(at.waves.parts, at.parts, strict=True)]
        return self.run(
            rows,
            hidden,
            at.judged,
            at.waves.join(gates),
            lambda states, which: run_again(states, rows.whole_index(which)),
        )

    def at_end(self) -> Mapping[str, Tensor]:
        """How far ``random`` is behind."""
        return {} if self.credits is None else {"recursion_credits_left": self.credits.left}

    def gate(self, wave: RowSet, judged: JudgedRows) -> Tensor:
        """(n,) bool: the rows at which the layer runs again."""
        may = wave.only_editable("recursion", judged.finite)
        if self._config.recursion == "always":
            return may
        below = judged.norms < judged.tau * self._config.recursion_max_ratio
        peaks = judged.peaks & below & may
        if self.credits is None:
            return peaks
        assert wave.slot_map is not None
        if self._plans is not None:
            due = self._plans.due_on("recursion", self._layer, wave, peaks.device)
            return self.credits.pay(wave.slot_map, due, may)
        draws = wave.uniforms_on("recursion_moment", self._layer, peaks.device)
        return self.credits.spend(wave.slot_map, draws, peaks, may)

    def run(
        self,
        rows: RowSet,
        hidden: Tensor,
        judged: JudgedRows,
        gate: Tensor,
        run_again: RunAgain,
    ) -> Tensor:
        """The states after recursion, hidden: (n, d); itself where no gate is open."""
        which = gate.cpu().numpy().nonzero()[0]
        if not len(which):
            return hidden
        index = torch.from_numpy(which).to(hidden.device)
        start = hidden.index_select(0, index)
        norms = judged.norms[index]
        found = self._passes(start, norms, judged.tau[index], index, run_again)
        own = rows.take(which, None)
        self._note(own, norms, start, found)
        if self._plans is not None and self.credits is not None:
            # what is matched is states changed: a row without an accepted pass is still owed
            self.credits.give_back(own.slots, found.accepted == 0)
        if self._config.recursion_alpha == 0:
            return hidden
        return hidden.index_copy(0, index, found.states)

    def _passes(
        self, states: Tensor, norms: Tensor, tau: Tensor, index: Tensor, run_again: RunAgain
    ) -> _Rows:
        none = torch.zeros_like(index)
        found = _Rows(states, norms, tau, none, none, none)
        active = torch.arange(len(index), device=index.device)
        for turn in range(1, self._config.passes + 1):
            accepted = self._one_pass(found, active, index[active], run_again)
            if turn < self._config.passes:
                active = active[accepted]  # the host waits here for their number
                if not len(active):
                    break
        return found

    def _one_pass(self, found: _Rows, active: Tensor, where: Tensor, run_again: RunAgain) -> Tensor:
        """Run the layer on the active rows; (active,) bool, those whose pass was accepted."""
        states, norms, tau = found.states[active], found.norms[active], found.tau[active]
        again = run_again(states, where)
        again_norms = row_norms(again)
        accepted = self._accepts(norms, again_norms, tau)
        mixed, mixed_norms = self._mix(states, norms, again, again_norms)
        found.states = found.states.index_copy(0, active, where_rows(accepted, mixed, states))
        found.norms = found.norms.index_copy(0, active, torch.where(accepted, mixed_norms, norms))
        found.passes = found.passes.index_add(0, active, torch.ones_like(active))
        found.accepted = found.accepted.index_add(0, active, accepted.long())
        not_finite = ~again_norms.isfinite()
        found.non_finite = found.non_finite.index_add(0, active, not_finite.long())
        return accepted

    def _accepts(self, before: Tensor, after: Tensor, tau: Tensor) -> Tensor:
        """τ < ‖h'‖ < ρτ and (‖h'‖ − ‖h‖)/‖h‖ ≥ ε, all (m,) float32."""
        inside = (after > tau) & (after < tau * self._config.recursion_max_ratio)
        return inside & ((after - before) / before >= self._config.recursion_min_growth)

    def _mix(
        self, states: Tensor, norms: Tensor, again: Tensor, again_norms: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(1−α)h + αh' and its norm, from which the next pass starts."""
        alpha = self._config.recursion_alpha
        if alpha == 0:
            return states, norms
        if alpha == 1:
            return again, again_norms
        mixed = weighted_sum(states, 1 - alpha, again, alpha)
        return mixed, row_norms(mixed)

    def _note(self, rows: RowSet, norms: Tensor, start: Tensor, found: _Rows) -> None:
        changed = (found.accepted > 0).long()
        change = relative_change(start, found.states) * changed
        self._log.add(
            *("recursion", self._layer, rows, None, found.passes, found.accepted),
            *(found.non_finite, norms, found.tau, change, changed),
            changed * rows.rows_on(changed.device),
            found.norms / norms * changed,
        )

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""
        if self.credits is not None:
            self.credits.reset(slots)
