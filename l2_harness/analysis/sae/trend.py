"""Layer by layer: reasoning features' activation beside norms and matched random features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.sae.contrast import held_means
from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.states.forcing import ENTROPIES
from l2_harness.analysis.states.layer_entropies import hidden_entropy
from l2_harness.analysis.states.store import StateStore
from l2_harness.statistics.estimate import Estimate, Estimates, Floats
from l2_harness.statistics.ranks import spearman
from l2_harness.statistics.ratios import ratios
from l2_harness.statistics.resamples import Resamples, association

if TYPE_CHECKING:
    import pandas as pd

#: In the order of :attr:`LayerMeans.values`.
KINDS = ("reasoning", "random", "norm")


@dataclass(frozen=True, eq=False)
class LayerMeans:
    """Means of the held questions at one layer.

    Attributes:
        layer: decoder layer.
        questions: (q,).
        values: (2, 3, q): thinking and direct; mean activation of the reasoning features, of the
            random ones (over all draws), mean norm.
        random: (draws, q) of each draw, in thinking responses.
        statistics: name → (q,) mean of another statistic of the layer in thinking responses:
            ``change``, ‖h_t − h_{t−1}‖, and the entropies that there are.
    """

    layer: int
    questions: np.ndarray
    values: Floats
    random: Floats
    statistics: Mapping[str, Floats]


def layer_means(
    store: StateStore, saes: Sequence[LoadedSae], features: FeatureSet
) -> list[LayerMeans]:
    """The means of every layer, on the held questions, in the same order of questions."""
    pairs = features.pairs
    norms = {
        task: _question_means(store, task, pairs.held, "norms")
        for task in (pairs.thinking, pairs.direct)
    }
    recorded = ("change", *(ENTROPIES if store.has_entropies else ()))
    beside = {name: _question_means(store, pairs.thinking, pairs.held, name) for name in recorded}
    found = []
    for loaded in saes:
        own = features.of(loaded)
        means = held_means(store, loaded, pairs, own.all)
        column, k = store.layers.index(loaded.layer), len(own.selected)
        values = [
            [acts[:, :k].mean(1), acts[:, k:].mean(1), norms[task][:, column]]
            for task, acts in ((pairs.thinking, means.thinking), (pairs.direct, means.direct))
        ]
        draws = means.thinking[:, k:].reshape(len(means.questions), -1, k).mean(2).T
        statistics = {name: values[:, column] for name, values in beside.items()}
        statistics["hidden_entropy"] = _hidden_entropies(store, loaded.layer, features)
        found.append(LayerMeans(loaded.layer, means.questions, np.array(values), draws, statistics))
    return found


def _hidden_entropies(store: StateStore, layer: int, features: FeatureSet) -> Floats:
    """(q,) of the held questions' thinking responses."""
    pairs = features.pairs
    responses = store.responses(task=pairs.thinking, questions=pairs.held)
    means = [
        float(own.mean())
        for block in store.blocks(layer, responses)
        for own in hidden_entropy(block.states).double().split(block.lengths.tolist())
    ]
    return _by_question(store, responses, np.array(means), pairs.held)


def _by_question(
    store: StateStore, responses: np.ndarray, means: Floats, questions: Sequence[str]
) -> Floats:
    """(q, …) means over a question's responses, of (n, …) each response's."""
    asked = store.index["question"].to_numpy()[responses]
    return np.array([means[asked == q].mean(0) for q in questions], dtype=np.float64)


def _question_means(store: StateStore, task: str, questions: Sequence[str], name: str) -> Floats:
    """(q, layers) of each response's mean over rows, then over a question's responses."""
    responses = store.responses(task=task, questions=questions)
    lists = store.lists(name, responses)
    n_layers = len(store.layers)
    means = np.array([np.nanmean(v.reshape(-1, n_layers), axis=0) for v in lists])
    return _by_question(store, responses, means, questions)


def trend_table(means: Sequence[LayerMeans]) -> pd.DataFrame:
    """A row a layer: means in thinking and direct responses, with 95 % intervals.

    ``reasoning_over_random`` is the ratio in thinking responses; ``reasoning_per_norm`` the
    reasoning features' activation divided by the norm, there.
    """
    import pandas as pd

    rows = []
    for one in means:
        reasoning, random, norm = one.values[0]
        each = np.ones_like(reasoning)
        found = {
            f"{kind}_{task}": ratios([values], [each])
            for task, of in zip(("thinking", "direct"), one.values, strict=True)
            for kind, values in zip(KINDS, of, strict=True)
        }
        found["reasoning_over_random"] = ratios([reasoning], [random])
        found["reasoning_per_norm"] = ratios([reasoning], [norm])
        row: dict[str, object] = {"layer": one.layer}
        for name, ratio in found.items():
            row |= ratio.each(len(each), len(each))[0].columns(name)
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Rise:
    """How one mean follows depth.

    Attributes:
        name: ``reasoning``, ``random`` or ``norm``.
        depth: Spearman's correlation of its mean with the layer's number.
        late: its mean over the last quarter of the layers, divided by that over the first half.
    """

    name: str
    depth: Estimate
    late: Estimate


def rises(means: Sequence[LayerMeans], *, resamples: int = 2000, seed: int = 0) -> list[Rise]:
    """For each kind of mean, in thinking responses; intervals over questions."""
    stacked = np.array([one.values[0] for one in means])  # (layers, 3, q)
    n = stacked.shape[2]
    drawn = Resamples(means[0].questions, resamples, seed)
    found = []
    for i, name in enumerate(KINDS):
        values = stacked[:, i]
        profile = drawn.of_responses @ values.T
        depth = np.broadcast_to(np.arange(len(values), dtype=float), profile.shape)
        found.append(
            Rise(
                name,
                association(spearman(profile, depth), n - 1).each(n, n)[0],
                _late(values).each(n, n)[0],
            )
        )
    return found


def _late(values: Floats) -> Estimates:
    """Of values (layers, q)."""
    n = len(values)
    early, late = values[: max(n // 2, 1)], values[-max(n // 4, 1) :]
    return ratios([late.mean(axis=0)], [early.mean(axis=0)])
