"""Suppression: peaks are edited away, to see what depends on them; and its controls.

A causal test, not a technique. One object a layer. All is masked tensor operations.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from l2_harness.config.suppression import MEDIAN, SuppressionConfig
from l2_harness.interventions.credits import Credits
from l2_harness.interventions.layer_exchange import LayerInbox
from l2_harness.interventions.layer_technique import LayerPlace, LayerRows
from l2_harness.interventions.mixing import relative_change, scaled, where_rows, wide
from l2_harness.interventions.row_set import RowSet
from l2_harness.interventions.thresholds import JudgedRows

_TINY = 1e-20  # in place of a norm of 0, so that a zero state stays one


class LayerSuppression:
    """Suppression at one layer.

    Peaks are judged by the layer's own output; what is edited is the state after recursion.
    """

    def __init__(self, config: SuppressionConfig, place: LayerPlace) -> None:
        self._config = config
        self._layer = place.layer
        self._log = place.log
        self._plans = place.plans
        self._credits: Credits | None = None
        if config.suppression == "random":
            self._credits = Credits(place.n_slots, place.device)
        self._inbox: LayerInbox | None = None
        if place.shared is not None:
            self._inbox = LayerInbox(place.shared, place.layer, place.n_slots, place.device)
        self._directions: Tensor | None = None
        if config.suppression_mode == "angle":
            wide_type = torch.float64 if place.dtype == torch.float64 else torch.float32
            self._directions = torch.zeros(
                place.n_slots, place.width, dtype=wide_type, device=place.device
            )

    def edit(self, at: LayerRows, hidden: Tensor) -> Tensor:
        """Wave by wave."""
        norms = at.waves.split(at.norms(hidden))
        both = list(zip(norms, at.parts, strict=True))
        return at.waves.edit(hidden, both, self.step)

    def step(self, wave: RowSet, hidden: Tensor, given: tuple[Tensor, JudgedRows]) -> Tensor:
        """The states after suppression.

        Args:
            wave: the rows, at most one a response.
            hidden: (n, d) after recursion.
            given: the norms of ``hidden``, (n,) float32, +inf where not finite; and the
                judgement of the layer's own output.
        """
        norms, judged = given
        usual = self._usual_directions(wave, hidden, norms, judged)
        if not wave.editable["suppression"].any:
            return hidden
        chosen = self._choose(wave, judged, usual)
        edited = hidden
        if self._config.factor != 1 or self._config.suppression_mode == "clamp":
            edited = where_rows(chosen, self._edit(hidden, norms, judged, usual), hidden)
        self._log.add(
            *("suppression", self._layer, wave, chosen, judged.norms, judged.tau),
            relative_change(hidden, edited, norms),
        )
        return edited

    def at_end(self) -> Mapping[str, Tensor]:
        """How far a control is behind its peaks."""
        control = self._credits if self._inbox is None else self._inbox
        return {} if control is None else {"suppression_credits_left": control.left}

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""
        for control in (self._credits, self._inbox):
            if control is not None:
                control.reset(slots)
        if self._directions is not None:
            self._directions[torch.from_numpy(slots).to(self._directions.device)] = 0

    def _choose(self, wave: RowSet, judged: JudgedRows, usual: Tensor | None) -> Tensor:
        """(n,) bool, the rows to edit."""
        may = wave.only_editable("suppression", judged.finite)
        if usual is not None:  # nothing to turn to before the first row that is no peak
            may = may & (usual != 0).any(dim=1)
        peaks = judged.peaks & may
        if self._inbox is not None:
            return self._inbox.step(wave, peaks, may & ~judged.peaks)
        if self._credits is None:
            return peaks
        assert wave.slot_map is not None
        if self._plans is not None:
            due = self._plans.due_on("suppression", self._layer, wave, peaks.device)
            return self._credits.pay(wave.slot_map, due, may & ~judged.peaks)
        draws = wave.uniforms_on("suppression_moment", self._layer, peaks.device)
        return self._credits.spend(wave.slot_map, draws, peaks, may & ~judged.peaks)

    def _edit(
        self, hidden: Tensor, norms: Tensor, judged: JudgedRows, usual: Tensor | None
    ) -> Tensor:
        """All states as they would be after the edit, (n, d)."""
        factor = self._config.factor
        if self._config.suppression_mode == "scale":
            return hidden * factor
        norms = norms.clamp_min(_TINY)
        if usual is not None:
            return _turned(hidden, norms, usual, factor)
        if self._config.suppression_mode == "clamp":
            return scaled(hidden, (judged.tau * factor / norms).clamp_max(1))
        return scaled(hidden, factor + (1 - factor) * judged.quantiles[MEDIAN] / norms)

    def _usual_directions(
        self, wave: RowSet, hidden: Tensor, norms: Tensor, judged: JudgedRows
    ) -> Tensor | None:
        """(n, d) sums of the unit states of earlier rows that are no peaks; takes this row's."""
        if self._directions is None:
            return None
        assert wave.slot_map is not None
        before = wave.slot_map.read(self._directions).clone()
        enters = judged.finite & ~judged.peaks & (norms > 0)
        units = wide(hidden) / norms.unsqueeze(1)
        zero = torch.zeros_like(before)
        wave.slot_map.write(self._directions, before + where_rows(enters, units, zero))
        return before


def _turned(states: Tensor, norms: Tensor, usual: Tensor, factor: float) -> Tensor:
    """‖h‖ times the direction of f·ĥ + (1−f)·û, all (n, d); norms (n,)."""
    own = wide(states) / norms.unsqueeze(1)
    mean = usual / torch.linalg.vector_norm(usual, dim=1, keepdim=True)
    direction = factor * own + (1 - factor) * mean
    length = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    return (direction * (norms.unsqueeze(1) / length.clamp_min(_TINY))).to(states.dtype)
