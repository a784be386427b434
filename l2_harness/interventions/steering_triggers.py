"""What calls for steering at a row: a run of low norms, a peak, or a jump of the state.

One object a layer. Sources: low norms are what the published code of "The Tell-Tale Norm" (arXiv
2606.06188) waits for; peaks are what the paper steers, as reported by a reader. Jumps are the
trigger of STARS (arXiv 2601.22484): spikes of ‖h_t − h_{t−1}‖. Its threshold is here that of a
public implementation (ModelCypher, ``cognitive_pivots.py``): mean + 2 standard deviations, of
the response so far where that one takes the whole response. What STARS does at a spike, writing a
cue into the text, is not done here.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from l2_harness.config.steering import SteeringConfig
from l2_harness.interventions.layer_technique import LayerPlace
from l2_harness.interventions.mixing import wide
from l2_harness.interventions.row_set import RowSet
from l2_harness.interventions.thresholds import JudgedRows
from l2_harness.norms.row_norms import row_norms


class SteeringTrigger(Protocol):
    """What a trigger keeps of each response at one layer."""

    #: The first row of a response that can pull it.
    first_row: int

    def pulled(self, wave: RowSet, hidden: Tensor, norms: Tensor, judged: JudgedRows) -> Tensor:
        """(n,) bool, the rows at which steering is called for.

        Args:
            wave: the rows, at most one a response.
            hidden: (n, d) before steering.
            norms: (n,) float32 of ``hidden``, +inf where not finite.
            judged: of the layer's own output.
        """

    def calls(self, pulled: Tensor) -> Tensor:
        """(n,) bool, the rows that count as a call: of a lasting one the first."""

    def answered(self, slots: Tensor, injected: Tensor) -> None:
        """The responses in slots: (m,) of which injected: (m,) bool hold were steered."""

    def reset(self, index: Tensor) -> None:
        """Responses that begin anew, slots (k,) int64."""


class LowNorms:
    """``steering_patience`` rows of low norm in a row, and each low one that follows."""

    def __init__(self, config: SteeringConfig, place: LayerPlace) -> None:
        self._low = config.steering_low
        self._patience = torch.tensor(config.steering_patience, device=place.device)
        self._streak = torch.zeros(place.n_slots, dtype=torch.int64, device=place.device)
        self._now = self._streak
        self.first_row = config.steering_patience - 1

    def pulled(self, wave: RowSet, hidden: Tensor, norms: Tensor, judged: JudgedRows) -> Tensor:
        """Where the streak has reached the patience."""
        assert wave.slot_map is not None
        low = norms < self._threshold(judged)
        streak = wave.slot_map.read(self._streak).add_(1).mul_(low)
        wave.slot_map.write(self._streak, streak)
        self._now = streak
        return streak >= self._patience

    def calls(self, pulled: Tensor) -> Tensor:
        """The rows at which a streak reaches the patience."""
        return self._now == self._patience

    def answered(self, slots: Tensor, injected: Tensor) -> None:
        """Streaks begin anew."""
        self._streak.index_copy_(0, slots, self._streak.index_select(0, slots) * ~injected)

    def reset(self, index: Tensor) -> None:
        """No row was low."""
        self._streak[index] = 0

    def _threshold(self, judged: JudgedRows) -> Tensor:
        if self._low.quantile is not None:
            return judged.quantiles[self._low.quantile]
        return judged.tau if self._low.factor in (1, None) else judged.tau * self._low.factor


class Peaks:
    """Each row above τ, by its norm before steering."""

    first_row = 0

    def pulled(self, wave: RowSet, hidden: Tensor, norms: Tensor, judged: JudgedRows) -> Tensor:
        """Where the norm is above τ and finite."""
        return peaks_of(norms, judged)

    def calls(self, pulled: Tensor) -> Tensor:
        """Each of them."""
        return pulled

    def answered(self, slots: Tensor, injected: Tensor) -> None:
        """Nothing to forget."""

    def reset(self, index: Tensor) -> None:
        """Nothing to forget."""


class Jumps:
    """Each row whose state is further from the one before than usual for its response.

    Row t's distance enters the mean and the (population) standard deviation first, then it is
    judged. A distance that is not finite enters neither and is no jump.
    """

    first_row = 1

    def __init__(self, config: SteeringConfig, place: LayerPlace) -> None:
        self._deviations = config.steering_jump
        shape, device = place.n_slots, place.device
        self._before = torch.full((shape, place.width), torch.nan, dtype=place.dtype, device=device)
        self._sums = torch.zeros(shape, 3, dtype=torch.float64, device=device)

    def pulled(self, wave: RowSet, hidden: Tensor, norms: Tensor, judged: JudgedRows) -> Tensor:
        """Where the distance is above mean + k · standard deviation."""
        slots = wave.slot_map
        assert slots is not None
        distance = row_norms(wide(hidden) - wide(slots.read(self._before))).double()
        slots.write(self._before, hidden)
        counts = distance.isfinite()
        n, mean, squares = slots.read(self._sums).unbind(1)
        # Welford's update: sums of squares would lose what little the distances differ by
        n = n + counts
        away = torch.where(counts, distance - mean, 0.0)
        mean = mean + away / n.clamp_min(1)
        squares = squares + away * torch.where(counts, distance - mean, 0.0)
        slots.write(self._sums, torch.stack([n, mean, squares], dim=1))
        deviation = (squares / n.clamp_min(1)).sqrt()
        return counts & (distance > mean + self._deviations * deviation)

    def calls(self, pulled: Tensor) -> Tensor:
        """Each of them."""
        return pulled

    def answered(self, slots: Tensor, injected: Tensor) -> None:
        """Nothing to forget: the state before steering is what the next one is compared with."""

    def reset(self, index: Tensor) -> None:
        """No row was seen."""
        self._before[index] = torch.nan
        self._sums[index] = 0


def steering_trigger(config: SteeringConfig, place: LayerPlace) -> SteeringTrigger:
    """The one that ``steering_trigger`` names."""
    if config.steering_trigger == "peak":
        return Peaks()
    return (Jumps if config.steering_trigger == "jump" else LowNorms)(config, place)


def peaks_of(norms: Tensor, judged: JudgedRows) -> Tensor:
    """(n,) bool, rows above τ by norms: (n,) that are perhaps not the layer's own."""
    if norms is judged.norms:
        return judged.peaks
    return (norms > judged.tau) & (norms < torch.inf)
