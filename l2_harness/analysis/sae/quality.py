"""How well an SAE does on rows that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.states.store import StateStore


@dataclass(frozen=True)
class Quality:
    """Figures of one SAE on some rows.

    Attributes:
        layer: of the SAE.
        rows: how many.
        explained_variance: 1 − Σ‖x̂ − x‖² / Σ‖x − mean x‖², over the rows.
        l0: mean number of active features of a row.
        features: how many there are.
        dead: share of them that no row activates.
        norm_ratio: Σ‖x̂‖ / Σ‖x‖; below 1 where the reconstruction shrinks.
    """

    layer: int
    rows: int
    explained_variance: float
    l0: float
    features: int
    dead: float
    norm_ratio: float


@torch.no_grad()
def measure(loaded: LoadedSae, store: StateStore, responses: np.ndarray) -> Quality:
    """The quality of an SAE on the rows of some responses."""
    error = squares = active = norms = rebuilt = 0.0
    total = torch.zeros(store.d_model, dtype=torch.float64)
    fired = torch.zeros(loaded.d_sae, dtype=torch.bool)
    rows = 0
    for block in store.blocks(loaded.layer, responses, loaded.rows_at_once):
        acts = loaded.encode(block.states)
        output = loaded.sae.decode(acts.to(loaded.device)).cpu()
        states = block.states.double()
        error += float((output.double() - states).square().sum())
        squares += float(states.square().sum())
        total += states.sum(0)
        active += float((acts != 0).sum())
        fired |= (acts != 0).any(0)
        norms += float(states.norm(dim=-1).sum())
        rebuilt += float(output.norm(dim=-1).sum())
        rows += len(states)
    variance = squares - float(total.square().sum()) / rows
    return Quality(
        layer=loaded.layer,
        rows=rows,
        explained_variance=1 - error / variance,
        l0=active / rows,
        features=loaded.d_sae,
        dead=1 - float(fired.double().mean()),
        norm_ratio=rebuilt / norms,
    )
