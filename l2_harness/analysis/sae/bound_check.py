"""Every captured row and every feature against the bound; how much room there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from l2_harness.analysis.sae.bound import EncoderBound, encoder_bound
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.states.store import StateStore

#: Steps between 0 and 1 in which tightness is counted; quantiles are as fine as one of them.
BINS = 1000
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.999)


class BoundViolationError(AssertionError):
    """An activation above what its weights allow: the encoder is not the one that was read."""


@dataclass
class BoundResult:
    """What was found at one layer.

    Attributes:
        layer: decoder layer.
        architecture: of the SAE.
        rows, features: how many were checked, all pairs of them.
        active: activations that are not 0.
        violations: those beyond bound and rounding.
        worst_excess: the largest |act| − bound − rounding, as a share of the bound; at most 0
            where there is no violation.
        tightest: the largest |act| / bound.
        counts: (BINS + 1,) how many active ones have |act| / bound in each step; the last step
            is what is above 1.
    """

    layer: int
    architecture: str
    rows: int = 0
    features: int = 0
    active: int = 0
    violations: int = 0
    worst_excess: float = -np.inf
    tightest: float = 0.0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(BINS + 1, dtype=np.int64))

    def quantile(self, q: float) -> float:
        """Of |act| / bound over the active ones, to 1 / BINS; nan where none is active."""
        if not self.active:
            return float("nan")
        step = int(np.searchsorted(np.cumsum(self.counts), q * self.active))
        return min(step + 0.5, BINS) / BINS

    def add(self, limits: Tensor, slack: Tensor, acts: Tensor) -> None:
        """Count (rows, d_sae) activations and their bounds in."""
        size = acts.abs().double()
        active = size != 0  # of what is nan too
        excess = size - limits - slack
        bad = active & ~(excess <= 0)
        share = torch.where(limits > 0, size / limits.clamp_min(1e-300), torch.inf)[active]
        share = share.nan_to_num(nan=torch.inf)
        self.rows += len(acts)
        self.features = acts.shape[1]
        self.active += int(active.sum())
        self.violations += int(bad.sum())
        if len(share):
            relative = (excess / limits.clamp_min(1e-12))[active].nan_to_num(nan=torch.inf)
            self.worst_excess = max(self.worst_excess, float(relative.max()))
            self.tightest = max(self.tightest, float(share.max()))
            steps = (share.clamp(0, 1 + 0.5 / BINS) * BINS).long().clamp_max(BINS)
            self.counts += np.bincount(steps.numpy(), minlength=BINS + 1)


def check_bound(
    encode: Callable[[Tensor], Tensor],
    bound: EncoderBound,
    blocks: Iterable[Tensor],
    layer: int = 0,
    architecture: str = "",
) -> BoundResult:
    """Compare activations with their bound.

    Args:
        encode: states (rows, d) → activations (rows, d_sae).
        bound: of the weights that the encoder should have.
        blocks: states, (rows, d) each, of no more rows than may be encoded at once.
        layer: for the result.
        architecture: for the result.
    """
    result = BoundResult(layer, architecture)
    for states in blocks:
        acts = encode(states)
        result.add(*bound.limits(states, acts), acts)
    return result


def check_sae(
    loaded: LoadedSae, store: StateStore, bound: EncoderBound | None = None
) -> BoundResult:
    """All captured rows of the SAE's layer, in bounded memory."""
    known = encoder_bound(loaded.sae) if bound is None else bound
    # six numbers of 8 bytes stand beside each activation
    at_once = max(loaded.rows_at_once // 8, 1)
    if loaded.architecture == "temporal":  # which needs a whole response
        sequences = (block.states for block in store.blocks(loaded.layer, max_rows=1))
        return check_bound(
            lambda states: loaded.sae.encode(states.to(loaded.device)[None])[0].detach().cpu(),
            known,
            sequences,
            loaded.layer,
            loaded.architecture,
        )
    pieces = (
        piece
        for block in store.blocks(loaded.layer, max_rows=at_once)
        for piece in block.states.split(at_once)
    )
    return check_bound(loaded.encode, known, pieces, loaded.layer, loaded.architecture)


def require(results: Iterable[BoundResult]) -> None:
    """Raise BoundViolationError where a result has a violation."""
    bad = [r for r in results if r.violations]
    if bad:
        listed = ", ".join(
            f"layer {r.layer}: {r.violations} of {r.active} (the worst at {r.tightest:.3g} times "
            "the bound)"
            for r in bad
        )
        raise BoundViolationError(
            f"activations exceed ‖w‖‖h‖ + b: {listed}. The encoder that ran is not the one whose "
            "weights were read, or its bound is derived wrongly: nothing else here can be trusted."
        )
