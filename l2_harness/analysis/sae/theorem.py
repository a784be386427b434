"""The paper's theorem, its assumptions and its statement, measured on real states.

As a reader reports it ("The Tell-Tale Norm", arXiv 2606.06188): where a model thinks about a
question, the activations of the reasoning features grow, in sum, by an amount that lies between two
constants times √(‖h‖² − ‖h₀‖²), h the state when it thinks and h₀ when it doesn't. The constants
are not known here; what follows from the four assumptions in their exact form is

1. the features' decoder vectors d_i are orthonormal,
2. states are reconstructed: h − h₀ = Σ Δa_i d_i over all features,
3. the reasoning component r = h − h₀ is orthogonal to the base semantics h₀,
4. features split: only the k reasoning features change, and they grow: Δa_i ≥ 0,

so that ‖h‖² − ‖h₀‖² = ‖r‖² = Σ Δa_i², and with N = √(‖h‖² − ‖h₀‖²)

    N ≤ Σ Δa_i ≤ √k · N.

Where 1 fails, with σ the singular values of the matrix of the d_i, σ_max and σ_min widen it to
N/σ_max and √k · N/σ_min. Nothing widens it for 3: where ‖h‖ ≤ ‖h₀‖, there is no N at all.

For each question h is here the mean state of its thinking responses' rows and h₀ that of its direct
ones', and a_i the mean activation times ‖d_i‖, which makes every d_i a vector of length 1. Means
keep what is linear: decoding. All is of the held questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l2_harness.analysis.sae.choosing import refuse_temporal
from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import mean_states, question_means
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError
from l2_harness.statistics.estimate import Floats

#: Features of which the cosines with each other are looked at, drawn evenly.
_COHERENCE = 2000


@dataclass(frozen=True, eq=False)
class TheoremAtLayer:
    """What was measured at one layer, on q held questions with k reasoning features.

    Attributes:
        layer: decoder layer.
        growth: (q,) Σ Δa_i over the reasoning features.
        random: (draws, q) the same over each draw of random features.
        squares: (q,) ‖h‖² − ‖h₀‖².
        cosine: (q,) of h₀ and r = h − h₀.
        unexplained: (q,) ‖r − Σ Δa_i d_i‖/‖r‖, over all features.
        split: (q,) share of Σ |Δa_i| over all features that the reasoning features have.
        shrinking: share of all Δa_i of the reasoning features that are negative.
        rows_unexplained: mean ‖h − ĥ‖/‖h‖ of single rows, ĥ the SAE's output.
        singular: σ_min and σ_max of the reasoning features' directions.
        largest_cosine: of two different reasoning features' directions, in absolute value.
        coherence: root mean square cosine of two of all features; and what 1/√d, two random
            directions', would be.
        k: reasoning features.
    """

    layer: int
    growth: Floats
    random: Floats
    squares: Floats
    cosine: Floats
    unexplained: Floats
    split: Floats
    shrinking: float
    rows_unexplained: float
    singular: tuple[float, float]
    largest_cosine: float
    coherence: tuple[float, float]
    k: int

    @property
    def defined(self) -> np.ndarray:
        """(q,) bool, the questions with ‖h‖ > ‖h₀‖."""
        return self.squares > 0

    @property
    def ideal(self) -> tuple[float, float]:
        """The constants of the exact assumptions: 1 and √k."""
        return 1.0, self.k**0.5

    @property
    def widened(self) -> tuple[float, float]:
        """The constants that the directions' singular values leave: 1/σ_max and √k/σ_min."""
        low, high = self.singular
        return 1 / high, self.k**0.5 / low if low > 0 else np.inf

    def ratios(self, growth: Floats) -> Floats:
        """(…, q) growth over N of the questions where there is an N."""
        return growth[..., self.defined] / np.sqrt(self.squares[self.defined])

    def outside(self, constants: tuple[float, float]) -> tuple[int, int]:
        """How many questions lie below the lower bound, and above the upper one."""
        ratios = self.ratios(self.growth)
        return int((ratios < constants[0]).sum()), int((ratios > constants[1]).sum())


def measure_theorem(
    store: StateStore, saes: Sequence[LoadedSae], features: FeatureSet
) -> list[TheoremAtLayer]:
    """The theorem at each SAE's layer.

    Raises:
        ConfigError: an SAE whose decoder does not give back the state that it was given.
    """
    return [_at_layer(store, loaded, features) for loaded in saes]


def _at_layer(store: StateStore, loaded: LoadedSae, features: FeatureSet) -> TheoremAtLayer:
    refuse_temporal(loaded)
    own, pairs = features.of(loaded), features.pairs
    rows = _decoder(loaded)
    lengths = rows.norm(dim=1)
    directions = rows / lengths.clamp_min(1e-30).unsqueeze(1)
    thinking, direct = (
        mean_states(store, loaded.layer, task, pairs.held)
        for task in (pairs.thinking, pairs.direct)
    )
    change = thinking - direct
    chosen = torch.tensor(own.selected)
    draws = torch.from_numpy(own.random)
    growth: list[Tensor] = []
    random: list[Tensor] = []
    unexplained: list[Tensor] = []
    split: list[Tensor] = []
    negative = start = 0
    for part in question_means(store, loaded, pairs, pairs.held):
        acts = (part.thinking - part.direct).double() * lengths
        reasoning = acts[:, chosen]
        moved = change[start : start + len(acts)]
        start += len(acts)
        left = (moved - acts @ directions).norm(dim=1) / moved.norm(dim=1)
        growth.append(reasoning.sum(1))
        random.append(acts[:, draws].sum(2).T)
        unexplained.append(left)
        split.append(reasoning.abs().sum(1) / acts.abs().sum(1))
        negative += int((reasoning < 0).sum())
    q = len(pairs.held)
    return TheoremAtLayer(
        layer=loaded.layer,
        growth=torch.cat(growth).numpy(),
        random=torch.cat(random, dim=1).numpy(),
        squares=(thinking.square().sum(1) - direct.square().sum(1)).numpy(),
        cosine=torch.nn.functional.cosine_similarity(direct, change, dim=1).numpy(),
        unexplained=torch.cat(unexplained).numpy(),
        split=torch.cat(split).numpy(),
        shrinking=negative / (q * len(chosen)),
        rows_unexplained=_rows_unexplained(store, loaded, features),
        singular=_singular(directions[chosen]),
        largest_cosine=_largest_cosine(directions[chosen]),
        coherence=(_coherence(directions), store.d_model**-0.5),
        k=len(chosen),
    )


def _decoder(loaded: LoadedSae) -> Tensor:
    """(d_sae, d) float64."""
    kind = loaded.sae.cfg.normalize_activations
    if "transcoder" in loaded.architecture or kind not in ("none", "expected_average_only_in"):
        raise ConfigError(
            f"{loaded.source} ({loaded.architecture}, normalize_activations={kind}) does not give "
            "back a sum of its decoder's vectors for the state that it is given, which the theorem "
            "is about. Leave --features out to check the bound of single features alone."
        )
    rows: Tensor = loaded.sae.W_dec.detach().to("cpu", torch.float64)
    return rows


@torch.no_grad()
def _rows_unexplained(store: StateStore, loaded: LoadedSae, features: FeatureSet) -> float:
    pairs, total, n = features.pairs, 0.0, 0
    responses = np.concatenate(
        [store.responses(task=t, questions=pairs.held) for t in (pairs.thinking, pairs.direct)]
    )
    for block in store.blocks(loaded.layer, responses, loaded.rows_at_once):
        output = loaded.sae.decode(loaded.encode(block.states).to(loaded.device)).cpu()
        norms = block.states.norm(dim=1)
        error = (block.states - output).norm(dim=1)
        total += float((error / norms.clamp_min(1e-30)).double().sum())
        n += len(norms)
    return total / n


def _singular(directions: Tensor) -> tuple[float, float]:
    values = torch.linalg.svdvals(directions)
    # of more directions than dimensions some combination vanishes
    low = float(values.min()) if len(directions) <= directions.shape[1] else 0.0
    return low, float(values.max())


def _largest_cosine(directions: Tensor) -> float:
    cosines = (directions @ directions.T).abs()
    cosines.fill_diagonal_(0)
    return float(cosines.max())


def _coherence(directions: Tensor) -> float:
    drawn = torch.linspace(0, len(directions) - 1, min(len(directions), _COHERENCE)).long()
    chosen = directions[drawn]
    chosen = chosen[chosen.norm(dim=1) > 0]
    n = len(chosen)
    squares = (chosen @ chosen.T).square().sum() - n
    return float((squares / (n * (n - 1))).clamp_min(0).sqrt())
