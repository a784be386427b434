"""ALRR: a layer whose norm peaks runs again on its own output; and its controls.

Source: "The Tell-Tale Norm", arXiv 2606.06188. One object a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

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


class _Rows(NamedTuple):
    """The rows under recursion, (m, …) each: their state h, ‖h‖, τ, and what happened."""

    states: Tensor
    norms: Tensor
    tau: Tensor
    passes: Tensor
    accepted: Tensor
    non_finite: Tensor

    def of(self, index: Tensor) -> _Rows:
        """Some of them."""
        return _Rows(*(values.index_select(0, index) for values in self))

    def put(self, index: Tensor, part: _Rows) -> _Rows:
        """All of them, some with what is new."""
        both = zip(self, part, strict=True)
        return _Rows(*(values.index_copy(0, index, new) for values, new in both))


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
        norms, tau = (values.index_select(0, index) for values in (judged.norms, judged.tau))
        found = self._passes(start, norms, tau, index, run_again)
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
        rows = _Rows(states, norms, tau, none, none, none)
        found = self._one_pass(rows, index, run_again)
        for turn in range(1, self._config.passes):
            # whose passes were all accepted; the host waits here for their number
            active = (found.accepted == turn).nonzero().squeeze(1)
            if not len(active):
                break
            again = self._one_pass(found.of(active), index[active], run_again)
            found = found.put(active, again)
        return found

    def _one_pass(self, rows: _Rows, where: Tensor, run_again: RunAgain) -> _Rows:
        """Run the layer on some rows, where: (m,) they are; what becomes of them."""
        again = run_again(rows.states, where)
        again_norms = row_norms(again)
        accepted = self._accepts(rows.norms, again_norms, rows.tau)
        mixed, mixed_norms = self._mix(rows.states, rows.norms, again, again_norms)
        return _Rows(
            where_rows(accepted, mixed, rows.states),
            torch.where(accepted, mixed_norms, rows.norms),
            rows.tau,
            rows.passes + 1,
            rows.accepted + accepted,
            rows.non_finite + ~again_norms.isfinite(),
        )

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
        self._log.add(
            *("recursion", self._layer, rows, None, found.passes, found.accepted),
            *(found.non_finite, norms, found.tau),
            relative_change(start, found.states, norms),
            found.norms / norms,
        )

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""
        if self.credits is not None:
            self.credits.reset(slots)
