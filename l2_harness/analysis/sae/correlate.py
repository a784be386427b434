"""Does the norm follow the reasoning features? Within layers over rows, and across layers.

Beside the norm stand what else might: output entropy, logit margin, hidden-state change. Beside
the reasoning features stand random ones of the same frequency, since ‖h‖ bounds every feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.trend import LayerMeans, row_spearman
from l2_harness.analysis.states.store import StateStore
from l2_harness.statistics.bootstrap import Floats, bootstrap
from l2_harness.statistics.correlation import mid_ranks

if TYPE_CHECKING:
    import pandas as pd

STATISTICS = ("norm", "entropy", "margin", "change")

#: Of the paper, arXiv 2606.06188: the range over its four models, as correlations.
PAPER = {"norm": (0.841, 0.876), "entropy": (0.521, 0.635)}

#: Numbers of one chunk of resamples' ranks.
_ELEMENTS = 2**22


@dataclass(frozen=True, eq=False)
class LayerRowsTable:
    """Rows of thinking responses to held questions, at one layer.

    Attributes:
        layer: decoder layer.
        questions: (n,) of each row.
        statistics: (4, n) in the order of STATISTICS.
        position: (n,) the row's number in its response.
        reasoning: (n,) mean activation of the reasoning features.
        random: (draws, n) the same of each draw.
    """

    layer: int
    questions: np.ndarray
    statistics: Floats
    position: Floats
    reasoning: Floats
    random: Floats


def layer_rows(
    store: StateStore,
    loaded: LoadedSae,
    features: FeatureSet,
    max_rows: int = 10_000,
    seed: int = 0,
) -> LayerRowsTable:
    """The rows of one layer; of more than ``max_rows``, so many drawn evenly."""
    own, pairs = features.of(loaded), features.pairs
    responses = store.responses(task=pairs.thinking, questions=pairs.held)
    lengths = store.index["rows"].to_numpy()[responses]
    total = int(lengths.sum())
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.choice(total, min(max_rows, total), replace=False))
    acts = loaded.encode(store.take(loaded.layer, store.rows_of(responses)[keep]), own.all)
    values, k = acts.double().numpy(), len(own.selected)
    column = store.layers.index(loaded.layer)
    change = store.by_layer("change", responses)[keep, column]
    statistics = [
        store.by_layer("norms", responses)[keep, column],
        store.values("entropy", responses)[keep],
        store.values("margin", responses)[keep],
        np.where(np.isfinite(change), change, 0.0),
    ]
    position = np.concatenate([np.arange(n) for n in lengths])[keep]
    return LayerRowsTable(
        layer=loaded.layer,
        questions=np.repeat(store.index["question"].to_numpy()[responses], lengths)[keep],
        statistics=np.array(statistics, dtype=np.float64),
        position=position.astype(np.float64),
        reasoning=values[:, :k].mean(1),
        random=values[:, k:].reshape(len(values), -1, k).mean(2).T,
    )


def within_layer(
    rows: LayerRowsTable, *, resamples: int = 1000, seed: int = 0
) -> list[dict[str, object]]:
    """Spearman of each statistic with the features, at one layer.

    Returns:
        A row a statistic: ``reasoning`` and ``random`` (mean over the draws), the same
        ``_partial`` with the position taken out, each with ``_low`` and ``_high``; then what
        :func:`difference_columns` gives.
    """
    variables = [*rows.statistics, rows.position, rows.reasoning, *rows.random]

    def statistic(weights: Floats) -> Floats:
        return _coefficients(_products(weights, variables))

    value, low, high = bootstrap(statistic, rows.questions, resamples=resamples, seed=seed)
    found: list[dict[str, object]] = []
    for i, name in enumerate(STATISTICS):
        row: dict[str, object] = {"layer": rows.layer, "statistic": name}
        for j, column in enumerate(_COLUMNS):
            row |= {column: value[i, j], f"{column}_low": low[i, j], f"{column}_high": high[i, j]}
        row |= difference_columns(value[i, 4], low[i, 4], high[i, 4], value[i, 5:])
        found.append(row)
    return found


_COLUMNS = ("reasoning", "random", "reasoning_partial", "random_partial")


def difference_columns(value: float, low: float, high: float, draws: Floats) -> dict[str, object]:
    """How far reasoning features' coefficient is from random ones', and how sure that is.

    Args:
        value: the difference from the mean over draws.
        low: of its percentile interval over questions.
        high: of the same.
        draws: (draws,) each one's own coefficient.

    Returns:
        ``random_lowest`` and ``random_highest`` of the draws; ``difference`` with a normal 95 %
        interval whose variance is that over questions, read off the percentile interval, plus
        that of the mean over draws; ``difference_p``.
    """
    from scipy.stats import norm

    over_questions = (high - low) / (2 * norm.ppf(0.975))
    over_draws = float(np.var(draws, ddof=1) / len(draws)) if len(draws) > 1 else 0.0
    error = float(np.sqrt(over_questions**2 + over_draws))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(np.float64(value)) / error
    return {
        "random_lowest": float(np.min(draws)),
        "random_highest": float(np.max(draws)),
        "difference": value,
        "difference_low": value - norm.ppf(0.975) * error,
        "difference_high": value + norm.ppf(0.975) * error,
        "difference_p": float(2 * norm.sf(z)) if np.isfinite(z) else float("nan"),
    }


def _products(weights: Floats, variables: Sequence[Floats]) -> Floats:
    """(B, v, v) weighted products of the variables' centred ranks, in bounded memory."""
    at_once = max(_ELEMENTS // (weights.shape[1] * len(variables)), 1)
    found = []
    for start in range(0, len(weights), at_once):
        part = weights[start : start + at_once]
        total = part.sum(1, keepdims=True)
        ranks = np.stack([(mid_ranks(part, v) - (total + 1) / 2) / total for v in variables], 1)
        found.append((ranks * part[:, None, :]) @ ranks.transpose(0, 2, 1))
    return np.concatenate(found)


def _coefficients(products: Floats) -> Floats:
    """(B, statistics, 5 + draws) from products of statistics, position, reasoning, draws.

    In the order of ``_COLUMNS``, then the difference, then each draw's own coefficient.
    """
    scale = np.sqrt(np.einsum("bii->bi", products))
    safe = np.where(scale > 0, scale, np.nan)
    r = products / (safe[:, :, None] * safe[:, None, :])
    n, place = len(STATISTICS), len(STATISTICS)
    raw = r[:, :n, place + 1 :]
    x, y = r[:, :n, place, None], r[:, None, place, place + 1 :]
    with np.errstate(invalid="ignore", divide="ignore"):
        partial = (raw - x * y) / np.sqrt((1 - x**2) * (1 - y**2))
    reasoning, random = raw[:, :, 0], raw[:, :, 1:].mean(2)
    columns = [reasoning, random, partial[:, :, 0], partial[:, :, 1:].mean(2), reasoning - random]
    return np.concatenate([np.stack(columns, axis=2), raw[:, :, 1:]], axis=2)


def within_layers(
    store: StateStore,
    saes: Sequence[LoadedSae],
    features: FeatureSet,
    *,
    max_rows: int = 10_000,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """:func:`within_layer` of every SAE; ``difference_holm`` corrects over layers × statistics."""
    import pandas as pd

    from l2_harness.statistics.significance import holm

    found: list[dict[str, object]] = []
    for loaded in saes:
        rows = layer_rows(store, loaded, features, max_rows, seed)
        found += within_layer(rows, resamples=resamples, seed=seed)
    table = pd.DataFrame(found)
    table["difference_holm"] = holm(table["difference_p"])
    return table


def across_layers(
    means: Sequence[LayerMeans], *, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Spearman over layers of layer means, as the paper has it; intervals over questions.

    Entropy and margin are the output's: they are the same at every layer and follow none.
    """
    import pandas as pd

    norms = np.array([one.values[0, 2] for one in means])
    change = np.array([one.change for one in means])
    reasoning = np.array([one.values[0, 0] for one in means])
    random = np.array([one.random for one in means])  # (layers, draws, q)

    def statistic(weights: Floats) -> Floats:
        """(B, 2, 3 + draws)."""
        total = weights.sum(1)
        target = weights @ reasoning.T / total[:, None]
        draws = np.einsum("bq,ldq->bdl", weights, random) / total[:, None, None]
        columns = []
        for values in (norms, change):
            profile = weights @ values.T / total[:, None]
            own = row_spearman(profile, target)
            each = [row_spearman(profile, draws[:, d]) for d in range(draws.shape[1])]
            mean = np.mean(each, 0)
            columns.append(np.stack([own, mean, own - mean, *each], 1))
        return np.stack(columns, 1)

    value, low, high = bootstrap(statistic, means[0].questions, resamples=resamples, seed=seed)
    rows = []
    for i, name in enumerate(("norm", "change")):
        row: dict[str, object] = {"statistic": name, "layers": len(means)}
        for j, column in enumerate(("reasoning", "random")):
            row |= {column: value[i, j], f"{column}_low": low[i, j], f"{column}_high": high[i, j]}
        row |= difference_columns(value[i, 2], low[i, 2], high[i, 2], value[i, 3:])
        rows.append(row)
    return pd.DataFrame(rows)
