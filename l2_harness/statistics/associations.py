"""Rank correlations and AUROCs with intervals: raw, controlled for covariates, within strata.

Within each stratum (all responses, where there are none) every variable is replaced by its
centred mid-ranks, divided by the stratum's size; the covariates are taken out of both variables by
least squares, and Pearson's correlation of what is left is the result. With neither covariates nor
strata that is Spearman's coefficient. With covariates it is the partial rank correlation of the
rank transformation (Conover and Iman, The American Statistician 35, 1981), the same that pingouin's
`partial_corr(method="spearman")` and R's ppcor give. It takes out what is linear in the covariate's
ranks, no more.

Ranks of a few responses to one question forget how much their lengths differ, and leave part of a
length in what they are to control. So within strata a covariate is taken out as its ranks and,
beside them, as its values less the stratum's mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.auroc import auroc_contributions
from l2_harness.statistics.estimate import UNKNOWN, Estimate, Estimates, Floats
from l2_harness.statistics.partial import Controlled
from l2_harness.statistics.rank_contributions import (
    RankContributions,
    Strata,
    rank_contributions,
)
from l2_harness.statistics.ranks import Deviations, Ranking
from l2_harness.statistics.resamples import Resamples, association

#: Variables whose resamples are worked on together: all at once they leave the processor's cache.
_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Associations:
    """One figure of each of C variables with an outcome.

    Attributes:
        estimates: (C,) values, intervals and p.
        questions: (C,) in whose strata both vary.
        responses: (C,) to these.
    """

    estimates: Estimates
    questions: np.ndarray
    responses: np.ndarray

    def estimate(self, column: int = 0) -> Estimate:
        """Of one variable."""
        return self.estimates.each(self.responses, self.questions)[column]


def rank_associations(
    x: Floats,
    y: Floats,
    covariates: Floats,
    stratum: np.ndarray | None,
    question: np.ndarray,
    resamples: Resamples,
    controls: Mapping[str, Sequence[int]],
) -> dict[tuple[str, str], Associations]:
    """Spearman's coefficient under each control and, of right and wrong, the AUROC.

    Args:
        x: (n, C), finite.
        y: (n,) the outcome, finite. A stratum in which it does not vary says nothing.
        covariates: (n, k), finite.
        stratum: (n,) labels; None for one stratum.
        question: (n,) places in the resamples' labels.
        resamples: of the questions.
        controls: name → columns of the covariates.

    Returns:
        (measure, control) → figures; ``spearman`` of each control, and ``auroc`` of ``none``.
        Empty where fewer than two questions say anything.
    """
    strata, rows = _telling(y, stratum, question, len(resamples.labels))
    if strata is None:
        return {}
    x, y, covariates = x[rows], y[rows], covariates[rows]
    v: list[Ranking | Deviations] = [Ranking.of(one, strata.stratum) for one in (y, *covariates.T)]
    if stratum is not None:
        v += [Deviations.of(one, strata.stratum) for one in covariates.T]
    found = rank_contributions(x, v, strata)
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    columns = {name: _columns(v, of, covariates.shape[1]) for name, of in controls.items()}
    drawn = {
        ("spearman", name): values for name, values in _spearman(found, columns, resamples).items()
    }
    if binary:
        areas, members = auroc_contributions(found.row_sums, y, strata)
        with np.errstate(invalid="ignore", divide="ignore"):
            area = resamples.sums(areas) / resamples.sums(members)[:, None]
        drawn["auroc", "none"] = np.where(found.varies.any(axis=0), area, np.nan)
    freedom = _freedom(found.varies, y if binary else None, strata)
    responses = np.bincount(strata.question, minlength=strata.questions)
    counted = found.varies & (responses[:, None] > 0)
    return {
        (measure, control): Associations(
            association(values, freedom, "auroc" if measure == "auroc" else "correlation"),
            counted.sum(axis=0),
            (responses[:, None] * counted).sum(axis=0),
        )
        for (measure, control), values in drawn.items()
    }


def correlation_interval(
    x: ArrayLike,
    y: ArrayLike,
    question: ArrayLike,
    covariates: Sequence[ArrayLike] = (),
    strata: ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """One rank correlation with its question-clustered interval.

    Args:
        x: (n,) values.
        y: (n,) values.
        question: (n,) the question of each response.
        covariates: each (n,).
        strata: (n,) labels. A stratum in which x or y is constant says nothing of their relation
            and is left out.
        resamples: how many.
        seed: of the resampling.

    Returns:
        nan where a covariate explains x or y wholly, or nothing varies.
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    columns = [np.asarray(one, dtype=float) for one in covariates]
    beside = np.stack(columns, axis=1) if columns else np.empty((len(first), 0))
    labels = None if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    drawn = Resamples(question, resamples, seed)
    controls = {"wanted": range(beside.shape[1])}
    found = rank_associations(
        first[:, None], second, beside, labels, drawn.question, drawn, controls
    )
    return found["spearman", "wanted"].estimate() if found else UNKNOWN


def _telling(
    y: Floats, labels: np.ndarray | None, question: np.ndarray, questions: int
) -> tuple[Strata | None, np.ndarray]:
    """The responses in strata in which the outcome varies; None of too few questions."""
    if not len(y):
        return None, np.empty(0, dtype=np.int64)
    stratum = np.unique(np.zeros(len(y)) if labels is None else labels, return_inverse=True)[1]
    low, high = np.full(stratum.max() + 1, np.inf), np.full(stratum.max() + 1, -np.inf)
    np.minimum.at(low, stratum, y)
    np.maximum.at(high, stratum, y)
    rows = np.flatnonzero((high > low)[stratum])
    if not len(rows):
        return None, rows
    kept = np.unique(stratum[rows], return_inverse=True)[1]
    return Strata(kept, question[rows], questions), rows


def _columns(
    v: Sequence[Ranking | Deviations], wanted: Sequence[int], covariates: int
) -> list[int]:
    """The outcome, and what stands for the wanted covariates, of equal ones the first.

    Within a question the position is ranked as the length is, which is to be taken out once.
    """
    distinct: dict[tuple[int, bytes], int] = {}
    for start in range(1, len(v), max(covariates, 1)):
        for index in (start + one for one in wanted):
            distinct.setdefault((v[index].degree, v[index].centred.tobytes()), index)
    return [0, *distinct.values()]


def _spearman(
    found: RankContributions, chosen: Mapping[str, Sequence[int]], resamples: Resamples
) -> dict[str, Floats]:
    """Control → (1 + B, C) coefficients; ``chosen`` are columns of v, the outcome first."""
    shape = len(resamples.weights), found.xx.shape[1]
    drawn = {name: np.full(shape, np.nan) for name in chosen}
    for columns, questions in _by_variation(found.varies):
        # what is left out of x is left out of the outcome and the covariates too
        vv = resamples.sums(np.where(questions[:, None, None], found.vv, 0.0))
        outcome = {name: Controlled.of(vv[:, of][:, :, of]) for name, of in chosen.items()}
        for start in range(0, len(columns), _AT_ONCE):
            block = columns[start : start + _AT_ONCE]
            xx, xv = resamples.sums(found.xx[:, block]), resamples.sums(found.xv[:, block])
            for name, of in chosen.items():
                drawn[name][:, block] = outcome[name].correlation(xx, xv[:, :, of])
    return drawn


def _by_variation(varies: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Columns that vary within the same questions' strata, with (Q,) which these are."""
    found: dict[bytes, tuple[list[int], np.ndarray]] = {}
    for index, where in enumerate(varies.T):
        found.setdefault(where.tobytes(), ([], where))[0].append(index)
    return list(found.values())


def _freedom(varies: np.ndarray, correct: Floats | None, strata: Strata) -> np.ndarray:
    """(C,) one less than the fewest of questions that vary, with a right, with a wrong response."""
    with_any = np.bincount(strata.question, minlength=strata.questions) > 0
    kinds = [with_any]
    if correct is not None:
        right = np.bincount(strata.question, correct, minlength=strata.questions)
        wrong = np.bincount(strata.question, 1 - correct, minlength=strata.questions)
        kinds += [right > 0, wrong > 0]
    return np.asarray(np.min([(varies & kind[:, None]).sum(axis=0) for kind in kinds], axis=0) - 1)
