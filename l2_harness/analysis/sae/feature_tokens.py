"""The tokens on which features fire most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import Pairs
from l2_harness.analysis.states.store import StateStore

#: A token has to be seen so often for its mean activation to count.
_SEEN = 5


@dataclass(frozen=True, eq=False)
class FeatureTokens:
    """The tokens on which each feature fires most in thinking responses.

    Attributes:
        tokens: a tuple of ids a feature, strongest first; those of positive mean activation.
        weights: for each, how often it stands there, to be drawn by.
        share: (features,) the share of the thinking rows that stand at these tokens.
        mean: (features,) mean activation at these rows.
        vocabulary: (v,) all ids seen.
        counts: (v,) how often.
    """

    tokens: tuple[tuple[int, ...], ...]
    weights: tuple[np.ndarray, ...]
    share: np.ndarray
    mean: np.ndarray
    vocabulary: np.ndarray
    counts: np.ndarray


def feature_tokens(
    store: StateStore, loaded: LoadedSae, pairs: Pairs, features: Sequence[int], top: int
) -> FeatureTokens:
    """Over the thinking responses to the questions that features are chosen on.

    A row stands at the token that the model reads there, not at the one that it predicts.
    """
    responses = store.responses(task=pairs.thinking, questions=pairs.chosen_on)
    ids = store.input_tokens(responses)
    vocabulary, member = np.unique(ids, return_inverse=True)
    counts = np.bincount(member)
    sums = np.zeros((len(vocabulary), len(features)))
    at = 0
    for block in store.blocks(loaded.layer, responses, loaded.rows_at_once):
        acts = loaded.encode(block.states, features).numpy()
        np.add.at(sums, member[at : at + len(acts)], acts)
        at += len(acts)
    means = np.where(counts[:, None] >= min(_SEEN, counts.max()), sums / counts[:, None], -np.inf)
    chosen = [_strongest(means[:, i], top) for i in range(len(features))]
    return FeatureTokens(
        tokens=tuple(tuple(int(t) for t in vocabulary[c]) for c in chosen),
        weights=tuple(counts[c] / max(counts[c].sum(), 1) for c in chosen),
        share=np.array([counts[c].sum() / len(ids) for c in chosen]),
        mean=np.array([sums[c, i].sum() / max(counts[c].sum(), 1) for i, c in enumerate(chosen)]),
        vocabulary=vocabulary,
        counts=counts,
    )


def _strongest(means: np.ndarray, top: int) -> np.ndarray:
    order = np.argsort(-means, kind="stable")[:top]
    return np.asarray(order[means[order] > 0])
