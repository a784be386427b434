"""All interventions at one layer, in the order in which techniques are declared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from l2_harness.config.interventions import InterventionConfig
from l2_harness.config.technique import built
from l2_harness.config.techniques import TECHNIQUES
from l2_harness.interventions.edit_plans import EditPlans
from l2_harness.interventions.layer_technique import (
    LayerPlace,
    LayerRows,
    LayerTechnique,
    RunAgain,
    Shared,
)
from l2_harness.interventions.responses import Pass
from l2_harness.interventions.step_log import ROW, StepLog
from l2_harness.interventions.thresholds import JudgedRows, LayerThreshold
from l2_harness.norms.row_norms import finite_row_norms


class LayerInterventions:
    """The state that a pipeline has at one layer.

    Args:
        config: what to do.
        layer: its index.
        threshold: judges its rows.
        n_slots: responses at a time.
        like: (…, d) states of this layer: their width, type and device.
        log: what happened goes there.
        shared: technique → what its layers share.
        plans: where random controls edit, if they match a recorded run.
    """

    def __init__(
        self,
        config: InterventionConfig,
        layer: int,
        threshold: LayerThreshold,
        n_slots: int,
        like: Tensor,
        log: StepLog,
        shared: Mapping[str, Shared],
        plans: EditPlans | None = None,
    ) -> None:
        self._layer = layer
        self._threshold = threshold
        self._log = log
        width, dtype, device = like.shape[-1], like.dtype, like.device
        self._techniques: list[LayerTechnique] = [
            built(TECHNIQUES[name].layer)(
                own, LayerPlace(layer, n_slots, width, dtype, device, log, shared.get(name), plans)
            )
            for name, own in config.acting().items()
            if own.acts_at == "layers"
        ]

    def step(self, current: Pass, hidden: Tensor, run_again: RunAgain | None) -> Tensor:
        """The layer's output with all edits, hidden: (n, d) for the rows of the pass."""
        if len(current.restarted):
            self._reset(current.restarted)
        norms = finite_row_norms(hidden)
        self._threshold.begin(current, norms)
        rows = current.judged
        if not len(rows):
            return hidden
        part = rows.part_of(hidden)
        edited = self._edit(current, part, rows.part_of(norms), run_again)
        return rows.put_back(hidden, part, edited)

    def at_end(self, slot: int) -> dict[str, Tensor]:
        """Counter → what the state holds of the response in a slot: a tensor of one number."""
        return {
            name: values[slot].clone()
            for technique in self._techniques
            for name, values in technique.at_end().items()
        }

    def _edit(
        self, current: Pass, hidden: Tensor, norms: Tensor, run_again: RunAgain | None
    ) -> Tensor:
        """hidden: (rows, d) of the judged rows, norms: (rows,) float32."""
        rows, waves = current.judged, current.waves
        given = zip(waves.parts, waves.split(norms), strict=True)
        parts = [self._threshold.judge(wave, own) for wave, own in given]
        judged = JudgedRows.joined(waves, parts)
        self._log.add(ROW, self._layer, rows, None, judged.norms, judged.tau)
        at = LayerRows(rows, waves, hidden, judged, parts, run_again)
        edited = hidden
        for technique in self._techniques:
            edited = technique.edit(at, edited)
        return edited

    def _reset(self, slots: np.ndarray) -> None:
        for technique in self._techniques:
            technique.reset(slots)
