"""Does the norm follow the reasoning features? Within layers over rows, and across layers.

Beside the norm stand what else might: output entropy, logit margin, hidden-state change, and the
entropies of a layer's states, of what the output head makes of them, and of its attention. Beside
the reasoning features stand random ones of the same frequency, since ‖h‖ bounds every feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.trend import LayerMeans
from l2_harness.analysis.states.forcing import ENTROPIES
from l2_harness.analysis.states.layer_entropies import hidden_entropy
from l2_harness.analysis.states.store import StateStore
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.intervals import student
from l2_harness.statistics.partial import correlation
from l2_harness.statistics.rank_contributions import Others, Strata
from l2_harness.statistics.ranks import Ranking, spearman
from l2_harness.statistics.resamples import NO_SPREAD, Resamples, association

if TYPE_CHECKING:
    import pandas as pd

#: Of every row; the last ones where they were captured.
STATISTICS = ("norm", "entropy", "margin", "change", "hidden_entropy", *ENTROPIES)

#: Those that a layer has of its own, in the order in which they are compared across layers.
OF_A_LAYER = tuple(name for name in STATISTICS if name not in ("entropy", "margin"))

#: Of the paper, arXiv 2606.06188: the range over its four models, as correlations. Of the three
#: entropies of a layer only the range of all together is known.
_TOGETHER = (-0.7215, -0.1994)
PAPER = {
    "norm": (0.841, 0.876),
    "entropy": (0.521, 0.635),
    **dict.fromkeys(("hidden_entropy", *ENTROPIES), _TOGETHER),
}


@dataclass(frozen=True, eq=False)
class LayerRowsTable:
    """Rows of thinking responses to held questions, at one layer.

    Attributes:
        layer: decoder layer.
        questions: (n,) of each row.
        names: of the statistics, those of STATISTICS that there are.
        statistics: (names, n).
        position: (n,) the row's number in its response.
        reasoning: (n,) mean activation of the reasoning features.
        random: (draws, n) the same of each draw.
    """

    layer: int
    questions: np.ndarray
    names: tuple[str, ...]
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
    states = store.take(loaded.layer, store.rows_of(responses)[keep])
    acts = loaded.encode(states, own.all)
    values, k = acts.double().numpy(), len(own.selected)
    column = store.layers.index(loaded.layer)

    def of_layer(name: str) -> np.ndarray:
        return store.by_layer(name, responses)[keep, column]

    change = of_layer("change")
    statistics = {
        "norm": of_layer("norms"),
        "entropy": store.values("entropy", responses)[keep],
        "margin": store.values("margin", responses)[keep],
        "change": np.where(np.isfinite(change), change, 0.0),
        "hidden_entropy": hidden_entropy(states).numpy(),
    }
    if store.has_entropies:
        entropies = {name: of_layer(name) for name in ENTROPIES}
        # a layer without attention weights has none
        statistics |= {name: e for name, e in entropies.items() if np.isfinite(e).all()}
    position = np.concatenate([np.arange(n) for n in lengths])[keep]
    return LayerRowsTable(
        layer=loaded.layer,
        questions=np.repeat(store.index["question"].to_numpy()[responses], lengths)[keep],
        names=tuple(statistics),
        statistics=np.array(list(statistics.values()), dtype=np.float64),
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
    drawn = Resamples(rows.questions, resamples, seed)
    stratum = np.zeros(len(rows.questions), dtype=np.int64)
    variables = [*rows.statistics, rows.position, rows.reasoning, *rows.random]
    ranks = [Ranking.of(one, stratum) for one in variables]
    strata = Strata(stratum, drawn.question, len(drawn.labels))
    coefficients = _coefficients(drawn.sums(Others(ranks, strata).vv), len(rows.names))
    return [
        {"layer": rows.layer, "statistic": name} | _row(coefficients[:, i], _COLUMNS, drawn)
        for i, name in enumerate(rows.names)
    ]


_COLUMNS = ("reasoning", "random", "reasoning_partial", "random_partial")


def _row(drawn: Floats, columns: Sequence[str], resamples: Resamples) -> dict[str, object]:
    """Coefficients with intervals, then :func:`difference_columns`.

    Args:
        drawn: (1 + B, columns + 1 + draws): coefficients, the difference of the first two, and
            each draw's own.
        columns: names of the coefficients.
        resamples: of the questions.
    """
    k, freedom = len(columns), len(resamples.labels) - 1
    found = association(drawn[:, :k], freedom)
    n = len(resamples.question)
    row: dict[str, object] = {}
    for name, one in zip(columns, found.each(n, freedom + 1), strict=True):
        row |= one.columns(name)
    error = float(np.nanstd(drawn[1:, k], ddof=1))
    return row | difference_columns(float(drawn[0, k]), error, freedom, drawn[0, k + 1 :])


def difference_columns(
    value: float, error: float, freedom: int, draws: Floats
) -> dict[str, object]:
    """How far reasoning features' coefficient is from random ones', and how sure that is.

    Args:
        value: the difference from the mean over draws.
        error: its standard deviation over resamples of the questions.
        freedom: questions less 1.
        draws: (draws,) each one's own coefficient.

    Returns:
        ``random_lowest`` and ``random_highest`` of the draws; ``difference`` with Student's 95 %
        interval, whose variance is that over questions plus that of the mean over draws;
        ``difference_p``. Neither where nothing varies.
    """
    from scipy.special import stdtr

    over_draws = float(np.var(draws, ddof=1) / len(draws)) if len(draws) > 1 else 0.0
    whole = np.float64(np.sqrt(error**2 + over_draws))
    if whole <= NO_SPREAD:  # few layers have few orders: that none changes is no certainty
        whole = np.float64(np.nan)
    low, high = student(value, whole, freedom)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(freedom, -np.abs(value / whole))
    return {
        "random_lowest": float(np.min(draws)),
        "random_highest": float(np.max(draws)),
        "difference": value,
        "difference_low": float(low),
        "difference_high": float(high),
        "difference_p": float(p),
    }


def _coefficients(products: Floats, n: int) -> Floats:
    """(B, n, 5 + draws) from products of n statistics, position, reasoning, draws.

    In the order of ``_COLUMNS``, then the difference, then each draw's own coefficient.
    """
    own = np.einsum("bii->bi", products)
    r = correlation(products, own[:, :, None], own[:, None, :])
    raw = r[:, :n, n + 1 :]
    x, y = r[:, :n, n, None], r[:, None, n, n + 1 :]
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

    Output entropy and margin are the model's: they are the same at every layer and follow none.
    """
    import pandas as pd

    profiles = {"norm": np.array([one.values[0, 2] for one in means])}
    for name in OF_A_LAYER:
        if all(np.isfinite(one.statistics.get(name, np.nan)).all() for one in means):
            profiles[name] = np.array([one.statistics[name] for one in means])
    reasoning = np.array([one.values[0, 0] for one in means])
    random = np.array([one.random for one in means])  # (layers, draws, q)

    drawn = Resamples(means[0].questions, resamples, seed)
    weights = drawn.of_responses
    target = weights @ reasoning.T
    draws = np.einsum("bq,ldq->bdl", weights, random)
    rows = []
    for name, values in profiles.items():
        profile = weights @ values.T
        own, each = spearman(profile, target), spearman(profile[:, None, :], draws)
        mean = each.mean(axis=1)
        coefficients = np.column_stack([own, mean, own - mean, each])
        about: dict[str, object] = {"statistic": name, "layers": len(means)}
        rows.append(about | _row(coefficients, ("reasoning", "random"), drawn))
    return pd.DataFrame(rows)
