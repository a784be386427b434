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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.auroc import auroc_contributions
from l2_harness.statistics.estimate import UNKNOWN, Estimate, Estimates, Floats
from l2_harness.statistics.partial import Controlled
from l2_harness.statistics.rank_contributions import Others, RankContributions, Strata
from l2_harness.statistics.ranks import Deviations, Ranking
from l2_harness.statistics.resamples import Resamples, association

#: Variables whose resamples are worked on together: all at once they leave the processor's cache.
_AT_ONCE = 32
#: Values that are copied to be ranked.
_COPIED = 1 << 22


@dataclass(frozen=True, eq=False)
class Part:
    """n rows and C columns of an array (N, M), which are copied some columns at a time.

    Attributes:
        whole: (N, M).
        rows: (n,) which.
        columns: (C,) which.
    """

    whole: Floats
    rows: np.ndarray
    columns: np.ndarray

    def at(self, rows: np.ndarray) -> Part:
        """Of these rows some."""
        return replace(self, rows=self.rows[rows])

    def blocks(self) -> Iterator[Floats]:
        """(n, c) each: all columns in their order."""
        width = max(_COPIED // max(len(self.rows), 1), 1)
        for start in range(0, len(self.columns), width):
            yield self.whole[self.rows[:, None], self.columns[start : start + width]]


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

    @classmethod
    def joined(cls, parts: Sequence[Associations]) -> Associations:
        """Of several variables' the whole."""
        columns = ("value", "low", "high", "p")
        return cls(
            Estimates(
                *(
                    np.concatenate([getattr(one.estimates, name) for one in parts])
                    for name in columns
                )
            ),
            *(
                np.concatenate([getattr(one, name) for one in parts])
                for name in ("questions", "responses")
            ),
        )

    def estimate(self, column: int = 0) -> Estimate:
        """Of one variable."""
        return self.estimates.each(self.responses, self.questions)[column]


def rank_associations(
    x: Floats | Part,
    y: Floats,
    covariates: Floats,
    stratum: np.ndarray | None,
    question: np.ndarray,
    resamples: Resamples,
    controls: Mapping[str, Sequence[int]],
) -> dict[tuple[str, str], Associations]:
    """Spearman's coefficient under each control and, of right and wrong, the AUROC.

    Args:
        x: (n, C), finite; an array or a part of one.
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
    of = x if isinstance(x, Part) else Part(x, np.arange(len(x)), np.arange(x.shape[1]))
    y, covariates = y[rows], covariates[rows]
    v: list[Ranking | Deviations] = [Ranking.of(one, strata.stratum) for one in (y, *covariates.T)]
    if stratum is not None:
        v += [Deviations.of(one, strata.stratum) for one in covariates.T]
    columns = {name: _columns(v, of, covariates.shape[1]) for name, of in controls.items()}
    outcome = _Outcome(y, Others(v, strata), columns, resamples)
    blocks = [outcome.with_variables(block) for block in of.at(rows).blocks()]
    return {key: Associations.joined([block[key] for block in blocks]) for key in blocks[0]}


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


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What any number of variables are related to.

    Attributes:
        y: (n,) the outcome.
        others: the outcome, then the covariates.
        columns: control → which of these, the outcome first.
        resamples: of the questions.
    """

    y: Floats
    others: Others
    columns: Mapping[str, Sequence[int]]
    resamples: Resamples

    @cached_property
    def _binary(self) -> bool:
        return bool(np.isin(self.y, (0.0, 1.0)).all())

    def with_variables(self, x: Floats) -> dict[tuple[str, str], Associations]:
        """(measure, control) → figures of x (n, C)."""
        strata, found = self.others.strata, self.others.with_variables(x)
        drawn = {("spearman", name): of for name, of in self._spearman(found).items()}
        if self._binary:
            areas, members = auroc_contributions(found.row_sums, self.y, strata)
            with np.errstate(invalid="ignore", divide="ignore"):
                area = self.resamples.sums(areas) / self.resamples.sums(members)[:, None]
            drawn["auroc", "none"] = np.where(found.varies.any(axis=0), area, np.nan)
        freedom = _freedom(found.varies, self.y if self._binary else None, strata)
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

    def _spearman(self, found: RankContributions) -> dict[str, Floats]:
        """Control → (1 + B, C) coefficients."""
        shape = len(self.resamples.weights), found.xx.shape[1]
        drawn = {name: np.full(shape, np.nan) for name in self.columns}
        for columns, questions in _by_variation(found.varies):
            controlled = self._controlled(questions)
            for start in range(0, len(columns), _AT_ONCE):
                block = columns[start : start + _AT_ONCE]
                xx = self.resamples.sums(found.xx[:, block])
                xv = self.resamples.sums(found.xv[:, block])
                for name, of in self.columns.items():
                    drawn[name][:, block] = controlled[name].correlation(xx, xv[:, :, of])
        return drawn

    def _controlled(self, questions: np.ndarray) -> Mapping[str, Controlled]:
        """By control, of some questions (Q,): what is left out of x is left out of these too."""
        key = questions.tobytes()
        if key not in self._last:
            self._last.clear()
            vv = self.resamples.sums(np.where(questions[:, None, None], self.others.vv, 0.0))
            self._last[key] = {
                name: Controlled.of(vv[:, of][:, :, of]) for name, of in self.columns.items()
            }
        return self._last[key]

    @cached_property
    def _last(self) -> dict[bytes, Mapping[str, Controlled]]:
        """What :meth:`_controlled` gave last: most blocks of variables vary as the one before."""
        return {}


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
