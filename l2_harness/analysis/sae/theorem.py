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

Here h is the state of a row of a thinking response and h₀ that of a row of a direct response to the
same question, :data:`PAIRS` such pairs drawn for each held question. (Means of states would say
little: a mean's norm shrinks with the number of rows.) a_i is the activation times ‖d_i‖, which
makes every d_i a vector of length 1.
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
from l2_harness.analysis.sae.pairs import Pairs
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError
from l2_harness.statistics.estimate import Floats

#: Pairs of a thinking and a direct row that are drawn for each question.
PAIRS = 20

#: Features of which the cosines with each other are looked at, drawn evenly.
_COHERENCE = 2000


@dataclass(frozen=True, eq=False)
class TheoremAtLayer:
    """What was measured at one layer, on n pairs of states with k reasoning features.

    Attributes:
        layer: decoder layer.
        questions: how many the pairs are of.
        growth: (n,) Σ Δa_i over the reasoning features.
        random: (draws, n) the same over each draw of random features.
        squares: (n,) ‖h‖² − ‖h₀‖².
        cosine: (n,) of h₀ and r = h − h₀.
        unexplained: (n,) ‖r − Σ Δa_i d_i‖/‖r‖, over all features.
        split: (n,) share of Σ |Δa_i| over all features that the reasoning features have.
        shrinking: share of all Δa_i of the reasoning features that are negative.
        rows_unexplained: mean ‖h − ĥ‖/‖h‖ of the states of both kinds, ĥ the SAE's output.
        singular: σ_min and σ_max of the reasoning features' directions.
        largest_cosine: of two different reasoning features' directions, in absolute value.
        coherence: root mean square cosine of two of all features; and what 1/√d, two random
            directions', would be.
        k: reasoning features.
    """

    layer: int
    questions: int
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
        """(n,) bool, the pairs with ‖h‖ > ‖h₀‖."""
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
        """(…, m) growth over N of the m pairs where there is an N."""
        return growth[..., self.defined] / np.sqrt(self.squares[self.defined])

    def outside(self, constants: tuple[float, float]) -> tuple[int, int]:
        """How many pairs lie below the lower bound, and above the upper one."""
        ratios = self.ratios(self.growth)
        return int((ratios < constants[0]).sum()), int((ratios > constants[1]).sum())


def measure_theorem(
    store: StateStore, saes: Sequence[LoadedSae], features: FeatureSet
) -> list[TheoremAtLayer]:
    """The theorem at each SAE's layer.

    Raises:
        ConfigError: an SAE whose decoder does not give back the state that it was given.
    """
    drawn = draw_pairs(store, features.pairs)
    return [_at_layer(store, loaded, features, drawn) for loaded in saes]


def draw_pairs(store: StateStore, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """The rows of thinking and of direct responses, (n,) each, :data:`PAIRS` a held question."""
    rng = np.random.default_rng(pairs.seed)
    found = []
    for question in pairs.held:
        for task in (pairs.thinking, pairs.direct):
            rows = store.rows_of(store.responses(task=task, questions=[question]))
            found.append(rng.choice(rows, PAIRS))
    return np.concatenate(found[::2]), np.concatenate(found[1::2])


@torch.no_grad()
def _at_layer(
    store: StateStore,
    loaded: LoadedSae,
    features: FeatureSet,
    drawn: tuple[np.ndarray, np.ndarray],
) -> TheoremAtLayer:
    refuse_temporal(loaded)
    own, weights = features.of(loaded), _decoder(loaded)
    lengths = weights.norm(dim=1)
    directions = weights / lengths.clamp_min(1e-30).unsqueeze(1)
    chosen = torch.tensor(own.selected)
    parts = []
    size = max(loaded.rows_at_once // 8, 1)
    for start in range(0, len(drawn[0]), size):
        h, base = (store.take(loaded.layer, rows[start : start + size]) for rows in drawn)
        of_h, of_base = loaded.encode(h), loaded.encode(base)
        change = (of_h - of_base).double() * lengths
        r = h.double() - base.double()
        left = (r - change @ directions).norm(dim=1) / r.norm(dim=1).clamp_min(1e-30)
        reasoning = change[:, chosen]
        parts.append(
            {
                "growth": reasoning.sum(1),
                "random": change[:, torch.from_numpy(own.random)].sum(2),
                "squares": h.double().square().sum(1) - base.double().square().sum(1),
                "cosine": torch.nn.functional.cosine_similarity(base.double(), r, dim=1),
                "unexplained": left,
                "split": reasoning.abs().sum(1) / change.abs().sum(1).clamp_min(1e-30),
                "negative": (reasoning < 0).double().mean(1),
                "error": (_error(loaded, h, of_h) + _error(loaded, base, of_base)) / 2,
            }
        )
    found = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    return TheoremAtLayer(
        layer=loaded.layer,
        questions=len(features.pairs.held),
        random=found.pop("random").T,
        shrinking=float(found.pop("negative").mean()),
        rows_unexplained=float(found.pop("error").mean()),
        singular=_singular(directions[chosen]),
        largest_cosine=_largest_cosine(directions[chosen]),
        coherence=(_coherence(directions), store.d_model**-0.5),
        k=len(chosen),
        **found,
    )


def _error(loaded: LoadedSae, states: Tensor, acts: Tensor) -> Tensor:
    """(n,) ‖h − ĥ‖/‖h‖ of states (n, d)."""
    output = loaded.sae.decode(acts.to(loaded.device)).cpu()
    return ((states - output).norm(dim=1) / states.norm(dim=1).clamp_min(1e-30)).double()


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
