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
from l2_harness.statistics.associations import correlation_interval, rank_associations
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import UNKNOWN, Estimate, Floats
from l2_harness.statistics.intervals import mean_estimates
from l2_harness.statistics.paired import Contrasts, Difference, differences
from l2_harness.statistics.resamples import Resamples

#: What every selector is compared with.
RIVALS = ("random", "majority", "mean_logprob")
RESAMPLES = 2000


@dataclass(frozen=True)
class SelectorRow:
    """What one selector comes to.

    Attributes:
        selector: which.
        accuracy: with all N samples.
        differences: rival → its accuracy less the rival's, corrected for all comparisons of the
            table; the selector itself and the oracle have none.
        curve: k → accuracy with k samples.
        length_correlation: Spearman's, of the score with length, over all responses.
        length_within: the same within questions.
        auroc: within question, the mean over questions with right and wrong responses, of the
            score turned so that it should be above ½.
    """

    selector: Selector
    accuracy: Estimate
    differences: Mapping[str, Difference]
    curve: Mapping[int, Estimate]
    length_correlation: float
    length_within: float
    auroc: Estimate


@dataclass(frozen=True)
class Comparison:
    """All selectors on one table of samples.

    Attributes:
        rows: in the order of the registry, the oracle last.
        missing: selector → why it is not among them.
        questions, n: how many questions, and responses to each.
        mixed: questions with right and wrong responses.
        truncated: share of responses that the token limit cut off.
        read_as_whole, unanswered: questions whose votes go by cut-off responses as if they had
            ended, and those without any answer.
    """

    rows: Sequence[SelectorRow]
    missing: Mapping[str, str]
    questions: int
    n: int
    mixed: int
    truncated: float
    read_as_whole: int = 0
    unanswered: int = 0


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
        resamples: of the AUROCs' intervals.
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
    curves = _curves(values)
    drawn = Resamples(np.repeat(np.arange(len(table.correct)), table.n), resamples, seed)
    to_rivals = _differences({n: of[table.n] for n, of in values.items()}, seed)
    rows = [
        SelectorRow(
            selector=selector,
            accuracy=curves[selector.name][table.n],
            differences=to_rivals.get(selector.name, {}),
            curve=curves[selector.name],
            **_signs(selector, table, drawn),
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
        table.read_as_whole,
        table.unanswered,
    )


def _curves(values: Mapping[str, Mapping[int, Floats]]) -> dict[str, dict[int, Estimate]]:
    keys = [(name, k) for name, of in values.items() for k in of]
    columns = np.stack([values[name][k] for name, k in keys], axis=1)
    curves: dict[str, dict[int, Estimate]] = {name: {} for name in values}
    bounded = bool(((columns >= 0) & (columns <= 1)).all())
    found = mean_estimates(columns, Design.of(len(columns)), bounded=bounded)
    for (name, k), estimate in zip(keys, found, strict=True):
        curves[name][k] = estimate
    return curves


def _differences(values: Mapping[str, Floats], seed: int) -> dict[str, dict[str, Difference]]:
    pairs = [
        (name, rival)
        for name in values
        for rival in RIVALS
        if rival in values and name not in (rival, ORACLE.name)
    ]
    if not pairs:
        return {}
    first, second = (
        np.stack([values[name] for name in side], axis=1) for side in zip(*pairs, strict=True)
    )
    tested = differences(Contrasts.of(first, second), seed=seed)
    found: dict[str, dict[str, Difference]] = {}
    for (name, rival), difference in zip(pairs, tested, strict=True):
        found.setdefault(name, {})[rival] = difference
    return found


def _signs(selector: Selector, table: SampleTable, drawn: Resamples) -> dict[str, Any]:
    """How a score goes with length and with correctness; nothing for what has no score.

    Args:
        selector: whose score.
        table: Q questions with N responses each.
        drawn: resamples of its questions.
    """
    nan = float("nan")
    if selector.kind != "score":
        return {"length_correlation": nan, "length_within": nan, "auroc": UNKNOWN}
    raw = table.candidates.scores[selector.score]
    known = np.isfinite(raw)
    question = drawn.question.reshape(raw.shape)[known]
    x, y = raw[known], table.lengths[known]
    values = table.candidates.score(selector)[known]
    return {
        "length_correlation": correlation_interval(x, y, question, resamples=0).value,
        "length_within": correlation_interval(x, y, question, (), question, resamples=0).value,
        "auroc": _auroc(values, table.correct[known], question, drawn),
    }


def _auroc(values: Floats, correct: Floats, question: np.ndarray, drawn: Resamples) -> Estimate:
    """Of responses (n,), within their questions (n,)."""
    if not np.isin(correct, (0.0, 1.0)).all():
        return UNKNOWN
    none = np.empty((len(values), 0))
    found = rank_associations(
        *(values[:, None], correct, none, question, question, drawn), {"none": ()}
    )
    return found["auroc", "none"].estimate() if found else UNKNOWN
