"""How norm statistics go with an outcome: rank correlations and AUROC, with controls.

For every layer and statistic: Spearman's and Kendall's coefficient (tau-b) and, where the outcome
is right or wrong, the AUROC; over all responses, and within strata such as the responses to one
question; Spearman's also controlled for covariates (:mod:`l2_harness.statistics.correlation`).

Intervals are percentiles of the question-clustered bootstrap on the questions' contributions
(:mod:`l2_harness.statistics.rank_contributions`): one matrix product resamples every layer,
statistic and control at once, on the same resamples.

p values are two-sided, of Fisher's z of the figure (of 2·AUROC − 1) over its bootstrap standard
error, against Student's t with one degree of freedom less than there are questions. The share of
resamples beyond zero would not do: of 2000 resamples none gives a p below 0.001, and Holm's
correction over a hundred layers and statistics asks for less. Permuting outcomes would not either:
over all responses they are not exchangeable, since questions differ in difficulty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.statistics.bootstrap import Floats, percentile_interval
from l2_harness.statistics.rank_contributions import (
    Strata,
    auroc_contributions,
    pair_contributions,
    rank_contributions,
)
from l2_harness.statistics.ratios import partial_correlation, ratio
from l2_harness.statistics.resamples import Resamples, z_test
from l2_harness.statistics.significance import holm

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("spearman", "kendall", "auroc")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What statistics are related to.

    Attributes:
        name: such as ``correct`` or ``length``.
        values: (n,); nan where it is not known.
        controls: name → columns of the covariates; ``none`` → () among them.
    """

    name: str
    values: Floats
    controls: Mapping[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class Scope:
    """Which responses are compared with each other.

    Attributes:
        name: ``pooled``, ``within question`` or ``within <field>``.
        labels: (n,) the stratum of each response; None for one stratum.
    """

    name: str
    labels: np.ndarray | None = None


def associations(
    x: Floats,
    outcome: Outcome,
    scope: Scope,
    covariates: pd.DataFrame,
    resamples: Resamples,
) -> pd.DataFrame:
    """Every measure of each variable with an outcome, within one scope.

    Args:
        x: (n, C) the variables; a response counts for those that it has.
        outcome: what they are related to. A control that is not recorded, or does not vary, is
            left out; so is one that is the outcome itself.
        scope: pooled or within strata. A stratum in which the outcome or the variable does not
            vary says nothing of their relation and is left out.
        covariates: (n) columns by name.
        resamples: of the questions of the n responses.

    Returns:
        A row a variable, measure and control, in that order: ``column`` (of x), ``scope``,
        ``outcome``, ``measure``, ``control``, ``value`` with ``_low`` and ``_high``, ``p``,
        ``responses``, ``questions``. ``value`` is nan where it is not defined.
    """
    import pandas as pd

    controls = usable_controls(outcome, covariates)
    names = list(dict.fromkeys(name for names in controls.values() for name in names))
    known = np.isfinite(outcome.values) & np.isfinite(covariates[names].to_numpy()).all(axis=1)
    frames = [_empty(x.shape[1], outcome, controls)]
    for columns, rows in _by_availability(x, known):
        rows = _telling(outcome.values, scope, rows)
        if len(np.unique(resamples.question[rows])) < 2:
            continue
        v = np.column_stack([outcome.values, covariates[names].to_numpy()])[rows]
        strata = _strata(scope, rows, resamples)
        frames.append(_figures(x[rows][:, columns], v, names, controls, strata, resamples))
        frames[-1]["column"] = np.asarray(columns)[frames[-1]["column"]]
    result = pd.concat(frames[1:] or frames[:1], ignore_index=True)
    keys = ["column", "measure", "control"]
    result = frames[0][keys].merge(result, on=keys, how="left")
    result[["responses", "questions"]] = result[["responses", "questions"]].fillna(0).astype(int)
    return result.assign(scope=scope.name, outcome=outcome.name)


def usable_controls(outcome: Outcome, covariates: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The controls with the covariates that were recorded and vary; a set left empty is dropped."""
    recorded = [
        name
        for name in covariates.columns
        if covariates[name].notna().any() and covariates[name].nunique() > 1
    ]
    same = {"length": "log_length"}.get(outcome.name, outcome.name)
    found = {
        name: tuple(one for one in wanted if one in recorded and one != same)
        for name, wanted in outcome.controls.items()
    }
    return {name: left for name, left in found.items() if left or not outcome.controls[name]}


def corrected(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with ``p_holm``: each family is all layers and statistics of one figure.

    Args:
        table: with ``variant``, ``outcome``, ``scope``, ``measure``, ``control`` and ``p``.
    """
    family = ["variant", "outcome", "scope", "measure", "control"]
    return table.assign(p_holm=table.groupby(family)["p"].transform(lambda p: holm(p.to_numpy())))


def _empty(n_columns: int, outcome: Outcome, controls: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The rows of the result, without figures."""
    import pandas as pd

    known = outcome.values[np.isfinite(outcome.values)]
    pairs = [("spearman", control) for control in controls] + [("kendall", "none")]
    if np.isin(known, (0.0, 1.0)).all():
        pairs.append(("auroc", "none"))
    rows = [(column, *pair) for column in range(n_columns) for pair in pairs]
    empty = pd.DataFrame(rows, columns=["column", "measure", "control"])
    return empty.assign(
        **dict.fromkeys(("value", "value_low", "value_high", "p"), np.nan), responses=0, questions=0
    )


def _by_availability(x: Floats, known: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Columns that the same responses have, with these responses' numbers."""
    found: dict[bytes, tuple[list[int], np.ndarray]] = {}
    for index, has in enumerate((np.isfinite(x) & known[:, None]).T):
        found.setdefault(has.tobytes(), ([], np.flatnonzero(has)))[0].append(index)
    return list(found.values())


def _telling(y: Floats, scope: Scope, rows: np.ndarray) -> np.ndarray:
    """Of some responses those in strata in which the outcome varies."""
    if not len(rows):
        return rows
    labels = np.zeros(len(rows)) if scope.labels is None else scope.labels[rows]
    _, stratum = np.unique(labels, return_inverse=True)
    low, high = np.full(stratum.max() + 1, np.inf), np.full(stratum.max() + 1, -np.inf)
    np.minimum.at(low, stratum, y[rows])
    np.maximum.at(high, stratum, y[rows])
    return np.asarray(rows[(high > low)[stratum]])


def _strata(scope: Scope, rows: np.ndarray, resamples: Resamples) -> Strata:
    labels = np.zeros(len(rows)) if scope.labels is None else scope.labels[rows]
    _, stratum = np.unique(labels, return_inverse=True)
    return Strata(stratum, resamples.question[rows], len(resamples.labels))


def _figures(
    x: Floats,
    v: Floats,
    names: Sequence[str],
    controls: Mapping[str, Sequence[str]],
    strata: Strata,
    resamples: Resamples,
) -> pd.DataFrame:
    """All figures of variables that the same responses have; v is the outcome and covariates."""
    y = v[:, 0]
    ranks, pairs = rank_contributions(x, v, strata), pair_contributions(x, y, strata)
    drawn: dict[tuple[str, str], Floats] = {}
    xx, xv = resamples.sums(ranks.xx), resamples.sums(ranks.xv)
    pair_sums = resamples.sums(pairs.xy), resamples.sums(pairs.xx)
    blank = np.full(xx.shape, np.nan)
    drawn |= {("spearman", name): blank.copy() for name in controls}
    drawn["kendall", "none"] = blank.copy()
    for columns, questions in _by_variation(ranks.varies):
        # what is left out of x is left out of the outcome and the covariates too
        vv = resamples.sums(np.where(questions[:, None, None], ranks.vv, 0.0))
        yy = resamples.sums(np.where(questions, pairs.yy, 0.0))
        for name, wanted in controls.items():
            chosen = [0, *(1 + names.index(one) for one in wanted)]
            drawn["spearman", name][:, columns] = partial_correlation(
                xx[:, columns], xv[:, columns][:, :, chosen], vv[:, chosen][:, :, chosen]
            )
        drawn["kendall", "none"][:, columns] = ratio(
            pair_sums[0][:, columns], pair_sums[1][:, columns], yy[:, None]
        )
    if np.isin(y, (0.0, 1.0)).all():
        areas, members = auroc_contributions(pairs.row_sums, y, strata)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn["auroc", "none"] = resamples.sums(areas) / resamples.sums(members)[:, None]
    return _summary(drawn, ranks.varies, strata)


def _by_variation(varies: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Columns that vary within the same questions' strata, with (Q,) which these are."""
    found: dict[bytes, tuple[list[int], np.ndarray]] = {}
    for index, where in enumerate(varies.T):
        found.setdefault(where.tobytes(), ([], where))[0].append(index)
    return list(found.values())


def _summary(
    drawn: Mapping[tuple[str, str], Floats], varies: np.ndarray, strata: Strata
) -> pd.DataFrame:
    """Values, intervals and p values of draws (1 + B, C)."""
    import pandas as pd

    per_question = np.bincount(strata.question, minlength=strata.questions)
    frames = []
    for (measure, control), values in drawn.items():
        counted = (per_question[:, None] > 0) & (varies | (measure == "auroc"))
        questions = counted.sum(axis=0)
        low, high = percentile_interval(values[1:])
        effect = 2 * values - 1 if measure == "auroc" else values
        frames.append(
            pd.DataFrame(
                {
                    "column": np.arange(values.shape[1]),
                    "measure": measure,
                    "control": control,
                    "value": values[0],
                    "value_low": low,
                    "value_high": high,
                    "p": np.where(np.isfinite(low), z_test(effect, questions), np.nan),
                    "responses": (per_question[:, None] * counted).sum(axis=0),
                    "questions": questions,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
