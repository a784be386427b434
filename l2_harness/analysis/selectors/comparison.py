"""Every selector on the same samples: accuracy, differences to its rivals, curves, and signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2_harness.analysis.selectors.expectation import SUBSETS, expected_values, sizes
from l2_harness.analysis.selectors.samples import SampleTable
from l2_harness.config.selectors import ORACLE, SELECTORS, Selector
from l2_harness.selection.choice import MissingScoreError
from l2_harness.statistics.bootstrap import Floats, bootstrap
from l2_harness.statistics.correlation import partial_spearman, spearman
from l2_harness.statistics.significance import holm, sign_flip_p

#: What every selector is compared with.
RIVALS = ("random", "majority", "mean_logprob")
RESAMPLES = 2000


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % question-clustered interval; nan where it is not defined."""

    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Difference:
    """A selector's accuracy minus a rival's, on the same questions.

    Attributes:
        figure: the mean difference.
        p: two-sided, of flipping the signs of the questions' differences at random.
        p_holm: corrected for all comparisons of the table.
    """

    figure: Figure
    p: float
    p_holm: float


@dataclass(frozen=True)
class SelectorRow:
    """What one selector comes to.

    Attributes:
        selector: which.
        accuracy: with all N samples.
        differences: rival → difference; the selector itself and the oracle have none.
        curve: k → accuracy with k samples.
        length_correlation: Spearman's, of the score with length, over all responses.
        length_within: the same within questions.
        auroc: within question, the mean over questions with right and wrong responses, of the
            score turned so that it should be above ½.
    """

    selector: Selector
    accuracy: Figure
    differences: Mapping[str, Difference]
    curve: Mapping[int, Figure]
    length_correlation: float
    length_within: float
    auroc: Figure


@dataclass(frozen=True)
class Comparison:
    """All selectors on one table of samples.

    Attributes:
        rows: in the order of the registry, the oracle last.
        missing: selector → why it is not among them.
        questions, n: how many questions, and responses to each.
        mixed: questions with right and wrong responses.
        truncated: share of responses that the token limit cut off.
    """

    rows: Sequence[SelectorRow]
    missing: Mapping[str, str]
    questions: int
    n: int
    mixed: int
    truncated: float


def compare(
    table: SampleTable,
    selectors: Sequence[Selector] = tuple(SELECTORS.values()),
    *,
    resamples: int = RESAMPLES,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> Comparison:
    """Compare selectors; one whose signals were not recorded is left out, with the reason.

    Args:
        table: the samples.
        selectors: which; the oracle is added.
        resamples: of the bootstrap.
        subsets: of the votes' curves.
        seed: of everything that is drawn.
    """
    ks = sizes(table.n)
    values: dict[str, dict[int, Floats]] = {}
    missing: dict[str, str] = {}
    for selector in (*selectors, ORACLE):
        try:
            values[selector.name] = {
                k: expected_values(selector, table, k, subsets=subsets, seed=seed) for k in ks
            }
        except MissingScoreError as error:
            missing[selector.name] = str(error)
    curves = _curves(values, resamples, seed)
    differences = _differences({n: of[table.n] for n, of in values.items()}, resamples, seed)
    rows = [
        SelectorRow(
            selector=selector,
            accuracy=curves[selector.name][table.n],
            differences=differences.get(selector.name, {}),
            curve=curves[selector.name],
            **_signs(selector, table, resamples, seed),
        )
        for selector in (*selectors, ORACLE)
        if selector.name in values
    ]
    mixed = int((np.ptp(table.correct, axis=1) > 0).sum())
    return Comparison(
        rows,
        missing,
        len(table.correct),
        table.n,
        mixed,
        float(table.candidates.truncated.mean()),
    )


def auroc_within(values: Floats, correct: Floats) -> Floats:
    """(Q,) how often a right response has the larger score than a wrong one, ties counting half.

    Args:
        values: (Q, N); a pair in which one is nan does not count.
        correct: (Q, N) of 1 and 0.

    Returns:
        nan for a question without a pair.
    """
    known = ~np.isnan(values)
    right, wrong = known & (correct == 1), known & (correct == 0)
    difference = values[:, :, None] - values[:, None, :]
    with np.errstate(invalid="ignore"):
        wins = (difference > 0) + 0.5 * (difference == 0)
    pairs = right[:, :, None] & wrong[:, None, :]
    n_pairs = pairs.sum((1, 2))
    won = (wins * pairs).sum((1, 2))
    return np.where(n_pairs > 0, won / np.maximum(n_pairs, 1), np.nan)


def _figures(columns: Floats, resamples: int, seed: int) -> list[Figure]:
    """The mean of each column of (questions, m) with its interval, all on the same resamples."""

    def means(weights: Floats) -> Floats:
        return np.asarray(weights @ columns / weights.sum(1, keepdims=True))

    found = bootstrap(means, np.arange(len(columns)), resamples=resamples, seed=seed)
    return [Figure(*map(float, triple)) for triple in zip(*found, strict=True)]


def _curves(
    values: Mapping[str, Mapping[int, Floats]], resamples: int, seed: int
) -> dict[str, dict[int, Figure]]:
    keys = [(name, k) for name, of in values.items() for k in of]
    columns = np.stack([values[name][k] for name, k in keys], axis=1)
    curves: dict[str, dict[int, Figure]] = {name: {} for name in values}
    for (name, k), figure in zip(keys, _figures(columns, resamples, seed), strict=True):
        curves[name][k] = figure
    return curves


def _differences(
    values: Mapping[str, Floats], resamples: int, seed: int
) -> dict[str, dict[str, Difference]]:
    pairs = [
        (name, rival)
        for name in values
        for rival in RIVALS
        if rival in values and name not in (rival, ORACLE.name)
    ]
    if not pairs:
        return {}
    columns = np.stack([values[name] - values[rival] for name, rival in pairs], axis=1)
    p = sign_flip_p(columns, seed=seed)
    found: dict[str, dict[str, Difference]] = {}
    figures = _figures(columns, resamples, seed)
    for (name, rival), figure, *ps in zip(pairs, figures, p, holm(p), strict=True):
        found.setdefault(name, {})[rival] = Difference(figure, *map(float, ps))
    return found


def _signs(selector: Selector, table: SampleTable, resamples: int, seed: int) -> dict[str, Any]:
    """How a score goes with length and with correctness; nothing for what has no score."""
    nan = float("nan")
    if selector.kind != "score":
        return {"length_correlation": nan, "length_within": nan, "auroc": Figure()}
    values = table.candidates.score(selector)
    raw = table.candidates.scores[selector.score]
    known = np.isfinite(raw)
    question = np.broadcast_to(np.arange(len(raw))[:, None], raw.shape)
    x, y = raw[known], table.lengths[known]
    return {
        "length_correlation": spearman(x, y),
        "length_within": partial_spearman(x, y, strata=question[known]),
        "auroc": _auroc(values, table, resamples, seed),
    }


def _auroc(values: Floats, table: SampleTable, resamples: int, seed: int) -> Figure:
    if not table.binary:
        return Figure()
    by_question = auroc_within(values, table.correct)
    by_question = by_question[~np.isnan(by_question)]
    return _figures(by_question[:, None], resamples, seed)[0] if len(by_question) else Figure()
