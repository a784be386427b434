"""ERSS: at a trigger a stored state of high norm, the nearest by cosine, is mixed in.

Source: "The Tell-Tale Norm", arXiv 2606.06188. Its rival, steering along an SAE's decoder
directions, adds them to the state (as in arXiv 2411.02193 and 2510.01246); here at the same
moments and in steps of the same length ‖Δ‖, so that direction alone differs.

One object a layer. Triggers and banks run from a response's first row on; injections begin after
the warm-up. All is masked tensor operations: the host knows in advance which rows the coin falls
on, and only those are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from l2_harness.config.errors import ConfigError
from l2_harness.config.steering import SteeringConfig
from l2_harness.interventions.bank import StateBank
from l2_harness.interventions.credits import SPENDING
from l2_harness.interventions.layer_technique import LayerPlace, LayerRows
from l2_harness.interventions.mixing import relative_change, weighted_sum, where_rows, wide
from l2_harness.interventions.row_set import RowSet, reading_is_free
from l2_harness.interventions.steering_triggers import peaks_of, steering_trigger
from l2_harness.interventions.thresholds import JudgedRows
from l2_harness.norms.directions import read_directions
from l2_harness.norms.row_norms import row_norms
from l2_harness.random_numbers import normal_vectors, permutations


@dataclass(frozen=True)
class _Moments:
    """The rows at which something may happen, m of a wave's n.

    Attributes:
        rows: on the host; ``rows.index`` counts in the wave.
        index, slots: (m,) int64, where they are in the wave, and their state.
        triggered: (m,) bool, the norm technique is ready and its coin fell.
        drawn: (m,) bool, the random control has a credit and its coin fell; None without one.
    """

    rows: RowSet
    index: Tensor
    slots: Tensor
    triggered: Tensor
    drawn: Tensor | None


class LayerSteering:
    """Steering at one layer: triggers, cooldowns and banks of all responses.

    ``steering=random`` keeps the triggers and cooldowns as ``norm`` would, but where ``norm``
    would inject it only earns a credit. A later random row with a stored state that is close
    enough spends it.
    """

    def __init__(self, config: SteeringConfig, place: LayerPlace) -> None:
        n_slots, device = place.n_slots, place.device
        self._config = config
        self._layer = place.layer
        self._log = place.log
        self._plans = place.plans
        spending = spending_probability(config) if place.plans is None else 1.0
        self._chances = config.steering_probability, spending
        self._trigger = steering_trigger(config, place)
        self._direction = _direction(config, place)
        self._ready_at = torch.zeros(n_slots, dtype=torch.int64, device=device)
        self.bank = StateBank(n_slots, config.steering_bank, place.width, place.dtype, device)
        self.credits = torch.zeros(n_slots, dtype=torch.int64, device=device)

    def edit(self, at: LayerRows, hidden: Tensor) -> Tensor:
        """Wave by wave, by the norms that the states have by now."""
        norms = at.waves.split(at.norms(hidden))
        both = list(zip(norms, at.parts, strict=True))
        return at.waves.edit(hidden, both, self.step)

    def at_end(self) -> Mapping[str, Tensor]:
        """What the banks hold, and how far ``random`` is behind."""
        return {"bank_size": self.bank.sizes(), "steering_credits_left": self.credits}

    def step(self, wave: RowSet, hidden: Tensor, given: tuple[Tensor, JudgedRows]) -> Tensor:
        """The states after steering.

        Args:
            wave: the rows, at most one a response.
            hidden: (n, d) after recursion and suppression.
            given: the norms of ``hidden``, (n,) float32, +inf where not finite; and the
                judgement of the layer's own output.
        """
        norms, judged = given
        assert wave.slot_map is not None
        pulled = self._trigger.pulled(wave, hidden, norms, judged)
        self._log.add("streak", self._layer, wave, self._trigger.calls(pulled))
        steered = self._inject(wave, hidden, norms, pulled)
        self.bank.store(wave.slot_map, hidden, norms, peaks_of(norms, judged))
        return steered

    def reset(self, slots: np.ndarray) -> None:
        """Responses that begin anew."""
        index = torch.from_numpy(slots).to(self._ready_at.device)
        for state in (self._ready_at, self.credits):
            state[index] = 0
        self._trigger.reset(index)
        self.bank.reset(slots)

    def _inject(self, wave: RowSet, hidden: Tensor, norms: Tensor, pulled: Tensor) -> Tensor:
        if self._plans is not None:
            due = self._plans.due_on("steering", self._layer, wave, hidden.device)
            assert wave.slot_map is not None
            owed = wave.slot_map.read(self.credits) + due
            wave.slot_map.write(self.credits, owed)
        moments = self._moments(wave, pulled)
        if moments is None:
            return hidden
        states, own = (values.index_select(0, moments.index) for values in (hidden, norms))
        stored, stored_norms, cosines = self.bank.closest(moments.slots, states, own)
        close = (cosines >= self._config.steering_min_cosine) & (own < torch.inf)
        injected = self._settle(moments, close)
        steered = states
        if self._config.steering_strength != 0:
            vectors = self._source(moments.rows, stored, stored_norms)
            mixed = self._along(states, self._mix(states, vectors))
            steered = where_rows(injected, mixed, states)
        self._log.add(
            *("injection", self._layer, moments.rows, injected, cosines, own, stored_norms),
            relative_change(states, steered, own),
        )
        return hidden if steered is states else hidden.index_copy(0, moments.index, steered)

    def _moments(self, wave: RowSet, pulled: Tensor) -> _Moments | None:
        """The rows at which a coin fell, of those that may be ready; None if there are none."""
        if not wave.editable["steering"].any:
            return None
        triggered = self._triggered(wave, pulled)
        drawn = self._drawn(wave) if self._config.steering == "random" else None
        fell = np.flatnonzero(triggered if drawn is None else triggered | drawn)
        if not len(fell):
            return None
        rows, device = wave.take(fell, None), pulled.device
        moments = _Moments(
            rows,
            rows.index_on(device),
            torch.from_numpy(rows.slots).to(device),
            torch.from_numpy(triggered[fell]).to(device),
            None if drawn is None else torch.from_numpy(drawn[fell]).to(device),
        )
        return moments if reading_is_free(device) else self._look(moments, pulled)

    def _triggered(self, wave: RowSet, pulled: Tensor) -> np.ndarray:
        """(n,) bool, the norm rule's coin fell; as far as the host knows, it was ready for it."""
        ready = wave.editable["steering"].mask & (wave.rows >= self._trigger.first_row)
        if reading_is_free(pulled.device):
            ready &= pulled.numpy() & (wave.rows >= self._ready_at.numpy()[wave.slots])
        fell = wave.uniforms("steering_moment", self._layer) < self._chances[0]
        return np.logical_and(ready, fell)

    def _drawn(self, wave: RowSet) -> np.ndarray:
        """(n,) bool, the control's coin fell; as far as the host knows, it has a credit."""
        possible = wave.editable["steering"].mask
        if reading_is_free(self.credits.device):
            possible = possible & (self.credits.numpy()[wave.slots] > 0)
        fell = wave.uniforms("steering_random_moment", self._layer) < self._chances[1]
        return np.logical_and(possible, fell)

    def _look(self, moments: _Moments, pulled: Tensor) -> _Moments:
        """What only the device knows of the moments: triggers, cooldowns and credits."""
        rows, slots = moments.rows.rows_on(pulled.device), moments.slots
        warm = rows >= self._ready_at.index_select(0, slots)
        triggered = moments.triggered & pulled.index_select(0, moments.index) & warm
        drawn = moments.drawn
        if drawn is not None:
            drawn = drawn & (self.credits.index_select(0, slots) > 0)
        return replace(moments, triggered=triggered, drawn=drawn)

    def _settle(self, moments: _Moments, close: Tensor) -> Tensor:
        """Start cooldowns; (m,) bool, the rows that are injected."""
        slots = moments.slots
        triggered = moments.triggered & close
        after = moments.rows.rows_on(slots.device) + self._config.steering_cooldown
        self._trigger.answered(slots, triggered)
        ready_at = torch.where(triggered, after, self._ready_at.index_select(0, slots))
        self._ready_at.index_copy_(0, slots, ready_at)
        if moments.drawn is None:
            return triggered
        taken = moments.drawn & close
        earned = triggered if self._plans is None else torch.zeros_like(triggered)
        self.credits[slots] += earned.long() - taken.long()
        return taken

    def _source(self, rows: RowSet, stored: Tensor, norms: Tensor) -> Tensor:
        """What is mixed in, (m, d): the stored states, or the control's in their place."""
        if self._config.steering_source in ("bank", "sae"):
            return stored
        host_bits = rows.bits("steering_vector", self._layer).view(np.int64)
        bits = torch.from_numpy(host_bits).to(stored.device)
        if self._config.steering_source == "shuffled":
            return stored.gather(1, permutations(bits, stored.shape[1]))
        vectors = normal_vectors(bits, stored.shape[1])
        ratio = norms.double() / torch.linalg.vector_norm(vectors, dim=1)
        return (vectors * ratio.unsqueeze(1)).to(stored.dtype)

    def _along(self, states: Tensor, mixed: Tensor) -> Tensor:
        """``mixed``; with ``sae`` states that are as far from ``states``, in its direction."""
        if self._direction is None:
            return mixed
        size = row_norms(wide(mixed) - wide(states)).unsqueeze(1).to(self._direction.dtype)
        return (wide(states) + size * self._direction).to(states.dtype)

    def _mix(self, states: Tensor, vectors: Tensor) -> Tensor:
        beta = self._config.steering_strength
        kept = 1 - beta if self._config.steering_mode == "blend" else 1.0
        return weighted_sum(states, kept, vectors, beta)


def _direction(config: SteeringConfig, place: LayerPlace) -> Tensor | None:
    """(d,) of ``steering_source=sae`` at a layer."""
    if config.steering_directions is None:
        return None
    found = read_directions(config.steering_directions, [place.layer])[place.layer]
    if len(found) != place.width:
        raise ConfigError(
            f"steering_directions={config.steering_directions!r} has vectors of {len(found)} "
            f"components, and the model's states have {place.width}.",
            "steering_directions",
        )
    dtype = torch.float64 if place.dtype == torch.float64 else torch.float32
    return torch.from_numpy(found).to(place.device, dtype)


def spending_probability(config: SteeringConfig) -> float:
    """With what probability the random control spends a credit at a row.

    :data:`~l2_harness.interventions.credits.SPENDING`, or more where injections may follow each
    other so closely that credits would pile up: twice the highest rate of the norm technique.
    """
    patience = config.steering_patience if config.steering_trigger == "low" else 1
    gap = max(patience, config.steering_cooldown, 1)
    return min(1.0, max(SPENDING, 2 / gap))
