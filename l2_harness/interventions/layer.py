"""All interventions at one layer, in order: recursion, suppression, steering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from l2_harness.config.interventions import InterventionConfig
from l2_harness.interventions.edit_plans import EditPlans
from l2_harness.interventions.layer_exchange import LayerExchange
from l2_harness.interventions.recursion import LayerRecursion, RunAgain
from l2_harness.interventions.responses import Pass
from l2_harness.interventions.steering import LayerSteering
from l2_harness.interventions.step_log import StepLog
from l2_harness.interventions.suppression import LayerSuppression
from l2_harness.interventions.thresholds import Judgement, LayerThreshold
from l2_harness.norms.row_norms import finite_row_norms

_RECURSION_HERE = ("norm", "always", "random")


class LayerInterventions:
    """The state that a pipeline has at one layer.

    Args:
        config: what to do.
        layer: its index.
        threshold: judges its rows.
        n_slots: responses at a time.
        like: (…, d) states of this layer: their width, type and device.
        log: what happened goes there.
        exchange: what the layers hand each other, for ``suppression=shuffled``.
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
        exchange: LayerExchange | None = None,
        plans: EditPlans | None = None,
    ) -> None:
        self._layer = layer
        self._threshold = threshold
        self._log = log
        width, device = like.shape[-1], like.device
        self._recursion: LayerRecursion | None = None
        self._suppression: LayerSuppression | None = None
        self._steering: LayerSteering | None = None
        if config.recursion.recursion in _RECURSION_HERE:
            self._recursion = LayerRecursion(config.recursion, layer, n_slots, device, log, plans)
        if config.suppression.suppression != "off":
            self._suppression = LayerSuppression(
                config.suppression, layer, n_slots, width, like.dtype, device, log, exchange, plans
            )
        if config.steering.steering != "off":
            self._steering = LayerSteering(
                config.steering, layer, n_slots, width, like.dtype, device, log, plans
            )

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

    def at_end(self) -> dict[str, np.ndarray]:
        """Counter → (n_slots,) what the state holds; waits for the device."""
        held: dict[str, Tensor] = {}
        if self._recursion is not None and self._recursion.credits is not None:
            held["recursion_credits_left"] = self._recursion.credits.left
        if self._suppression is not None and self._suppression.left is not None:
            held["suppression_credits_left"] = self._suppression.left
        if self._steering is not None:
            held["bank_size"] = self._steering.bank.sizes()
            held["steering_credits_left"] = self._steering.credits
        return {name: values.cpu().numpy() for name, values in held.items()}

    def _edit(
        self, current: Pass, hidden: Tensor, norms: Tensor, run_again: RunAgain | None
    ) -> Tensor:
        """hidden: (rows, d) of the judged rows, norms: (rows,) float32."""
        rows, waves = current.judged, current.waves
        given = zip(waves.parts, waves.split(norms), strict=True)
        parts = [self._threshold.judge(wave, own) for wave, own in given]
        judged = Judgement.joined(waves, parts)
        self._log.add("row", self._layer, rows, None, judged.norms, judged.tau)
        edited = hidden
        if self._recursion is not None and rows.editable["recursion"].any:
            edited = self._recur(current, hidden, judged, parts, run_again)
        if self._suppression is not None:
            edited = waves.edit(edited, parts, self._suppression.step)
        if self._steering is not None:
            after = norms if edited is hidden else finite_row_norms(edited)
            both = list(zip(waves.split(after), parts, strict=True))
            edited = waves.edit(edited, both, self._steering.step)
        return edited

    def _recur(
        self,
        current: Pass,
        hidden: Tensor,
        judged: Judgement,
        parts: Sequence[Judgement],
        run_again: RunAgain | None,
    ) -> Tensor:
        """Gates open in turn; all rows with an open gate then run together."""
        if run_again is None:
            raise ValueError(f"Recursion at layer {self._layer} needs run_again.")
        assert self._recursion is not None
        rows, waves = current.judged, current.waves
        gates = [self._recursion.gate(*both) for both in zip(waves.parts, parts, strict=True)]
        return self._recursion.run(
            rows,
            hidden,
            judged,
            waves.join(gates),
            lambda states, which: run_again(states, rows.whole_index(which)),
        )

    def _reset(self, slots: np.ndarray) -> None:
        for state in (self._threshold, self._recursion, self._suppression, self._steering):
            if state is not None:
                state.reset(slots)
