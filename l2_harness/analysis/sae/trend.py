"""Layer by layer: reasoning features' activation beside norms and matched random features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.sae.contrast import held_means
from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.states.store import StateStore
from l2_harness.statistics.bootstrap import Floats, bootstrap, estimate
from l2_harness.statistics.estimate import Estimate

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
        change: (q,) mean of ‖h_t − h_{t−1}‖ in thinking responses.
    """

    layer: int
    questions: np.ndarray
    values: Floats
    random: Floats
    change: Floats


def layer_means(
    store: StateStore, saes: Sequence[LoadedSae], features: FeatureSet
) -> list[LayerMeans]:
    """The means of every layer, on the held questions, in the same order of questions."""
    pairs = features.pairs
    beside = {
        (task, name): _question_means(store, task, pairs.held, name)
        for task in (pairs.thinking, pairs.direct)
        for name in ("norms", "change")
    }
    found = []
    for loaded in saes:
        own = features.of(loaded)
        means = held_means(store, loaded, pairs, own.all)
        column, k = store.layers.index(loaded.layer), len(own.selected)
        values = [
            [acts[:, :k].mean(1), acts[:, k:].mean(1), beside[task, "norms"][:, column]]
            for task, acts in ((pairs.thinking, means.thinking), (pairs.direct, means.direct))
        ]
        draws = means.thinking[:, k:].reshape(len(means.questions), -1, k).mean(2).T
        change = beside[pairs.thinking, "change"][:, column]
        found.append(LayerMeans(loaded.layer, means.questions, np.array(values), draws, change))
    return found


def _question_means(store: StateStore, task: str, questions: Sequence[str], name: str) -> Floats:
    """(q, layers) of each response's mean over rows, then over a question's responses."""
    responses = store.responses(task=task, questions=questions)
    lists = store.lists(name, responses)
    n_layers = len(store.layers)
    means = np.array([np.nanmean(v.reshape(-1, n_layers), axis=0) for v in lists])
    asked = store.index["question"].to_numpy()[responses]
    return np.array([means[asked == q].mean(0) for q in questions], dtype=np.float64)


def trend_table(
    means: Sequence[LayerMeans], *, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """A row a layer: means in thinking and direct responses, with 95 % intervals.

    ``reasoning_over_random`` is the ratio in thinking responses; ``reasoning_per_norm`` the
    reasoning features' activation divided by the norm, there.
    """
    import pandas as pd

    rows = []
    for one in means:
        value, low, high = bootstrap(
            partial(_statistics, values=one.values),
            one.questions,
            resamples=resamples,
            seed=seed,
        )
        row: dict[str, float] = {"layer": one.layer}
        for i, name in enumerate(_COLUMNS):
            row |= {name: value[i], f"{name}_low": low[i], f"{name}_high": high[i]}
        rows.append(row)
    return pd.DataFrame(rows)


_COLUMNS = (
    *(f"{kind}_thinking" for kind in KINDS),
    *(f"{kind}_direct" for kind in KINDS),
    *("reasoning_over_random", "reasoning_per_norm"),
)


def _statistics(weights: Floats, values: Floats) -> Floats:
    """(B, 8) of weights (B, q) and values (2, 3, q)."""
    means = np.einsum("bq,tkq->btk", weights, values) / weights.sum(1)[:, None, None]
    reasoning, random, norm = (means[:, 0, i] for i in range(3))
    ratio = reasoning / np.where(random > 0, random, np.nan)
    flat = means.reshape(len(means), -1)
    return np.column_stack([flat, ratio, reasoning / norm])


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
    found = []
    for i, name in enumerate(KINDS):
        depth, late = (
            estimate(
                partial(statistic, values=stacked[:, i]),
                means[0].questions,
                resamples=resamples,
                seed=seed,
            )
            for statistic in (_with_depth, _late)
        )
        found.append(Rise(name, depth, late))
    return found


def _layer_profile(weights: Floats, values: Floats) -> Floats:
    """(B, layers) of weights (B, q) and values (layers, q)."""
    return np.asarray(weights @ values.T / weights.sum(1, keepdims=True))


def _with_depth(weights: Floats, values: Floats) -> Floats:
    profile = _layer_profile(weights, values)
    depth = np.broadcast_to(np.arange(profile.shape[1], dtype=float), profile.shape)
    return row_spearman(profile, depth)


def _late(weights: Floats, values: Floats) -> Floats:
    profile = _layer_profile(weights, values)
    n = profile.shape[1]
    early = profile[:, : max(n // 2, 1)].mean(1)
    late = profile[:, -max(n // 4, 1) :].mean(1)
    return np.asarray(late / np.where(early > 0, early, np.nan))


def row_spearman(x: Floats, y: Floats) -> Floats:
    """(B,) Spearman's correlation of each row of x (B, n) with that of y; nan where one is flat."""
    from scipy.stats import rankdata

    a = rankdata(x, axis=1) - (x.shape[1] + 1) / 2
    b = rankdata(y, axis=1) - (y.shape[1] + 1) / 2
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.where(scale > 0, (a * b).sum(1) / np.where(scale > 0, scale, 1.0), np.nan)
