"""The layer and statistic chosen on some questions and measured on the others.

Whoever looks at a hundred layers and statistics finds one that fits well by chance. Half the
questions choose, and the other half says what the choice is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.analysis.norms.association import Outcome, Scope, associations
from l2_harness.statistics.bootstrap import Floats
from l2_harness.statistics.estimate import Estimate
from l2_harness.statistics.ranking import Ranking
from l2_harness.statistics.ratios import partial_correlation
from l2_harness.statistics.resamples import Resamples

#: Further splits, which say how much the first one owes to chance.
REPEATS = 10


@dataclass(frozen=True)
class HeldOutChoice:
    """What a choice came to.

    Attributes:
        scope, control: which Spearman coefficient.
        column: the variable of the largest coefficient, either sign, on the choosing questions.
        in_sample: that coefficient.
        held_out: the same variable's on the other questions.
        choosing: how many questions chose.
        overstated: by how much the coefficient shrinks from the choosing to the other questions,
            with the sign of the choice: the mean over this and further splits.
        overstated_spread: its standard deviation over splits.
        splits: how many.
    """

    scope: str
    control: str
    column: int
    in_sample: float
    held_out: Estimate
    choosing: int
    overstated: float
    overstated_spread: float
    splits: int


def choose_held_out(
    x: Floats,
    outcome: Outcome,
    scope: Scope,
    covariates: Floats,
    question: np.ndarray,
    *,
    control: str = "none",
    share: float = 0.5,
    repeats: int = REPEATS,
    resamples: int = 2000,
    seed: int = 0,
) -> HeldOutChoice | None:
    """Choose the variable of the largest Spearman coefficient on some questions.

    Args:
        x: (n, C) the variables; one that is nan anywhere can't be chosen.
        outcome: what they are related to.
        scope: pooled or within strata.
        covariates: (n, k) what is controlled for; k may be 0.
        question: (n,) labels; whole questions fall on one side.
        control: the name of these covariates.
        share: of the questions, those that choose.
        repeats: further splits.
        resamples: of the interval.
        seed: of the splits and the resampling.

    Returns:
        None where there are fewer than four questions, or nothing can be chosen.
    """
    import pandas as pd

    labels, member = np.unique(question, return_inverse=True)
    if len(labels) < 4:
        return None
    v = np.column_stack([outcome.values, covariates])
    usable = np.asarray(np.isfinite(v).all(axis=1))
    splits = [
        _split(len(labels), share, np.random.default_rng([seed, k])) for k in range(repeats + 1)
    ]
    found = [_one_split(x, v, scope, usable, np.asarray(chooses[member])) for chooses in splits]
    if found[0] is None:
        return None
    column, in_sample, _ = found[0]
    shrinks = np.array([np.sign(one[1]) * (one[1] - one[2]) for one in found if one is not None])
    measuring = ~splits[0][member]
    names = [f"control_{k}" for k in range(covariates.shape[1])]
    measured = associations(
        x[measuring][:, [column]],
        Outcome(outcome.name, outcome.values[measuring], {control: names}),
        Scope(scope.name, None if scope.labels is None else scope.labels[measuring]),
        pd.DataFrame(covariates[measuring], columns=names),
        Resamples(question[measuring], resamples, seed),
    ).iloc[0]
    held_out = Estimate(
        float(measured["value"]),
        float(measured["value_low"]),
        float(measured["value_high"]),
        int(measured["responses"]),
        int(measured["questions"]),
    )
    known = shrinks[np.isfinite(shrinks)]
    return HeldOutChoice(
        scope=scope.name,
        control=control,
        column=column,
        in_sample=in_sample,
        held_out=held_out,
        choosing=int(splits[0].sum()),
        overstated=float(known.mean()) if len(known) else np.nan,
        overstated_spread=float(known.std(ddof=1)) if len(known) > 1 else np.nan,
        splits=len(known),
    )


def _split(questions: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """(questions,) bool: which of them choose; at least two on either side."""
    n = min(max(round(share * questions), 2), questions - 2)
    chooses = np.zeros(questions, dtype=bool)
    chooses[rng.permutation(questions)[:n]] = True
    return chooses


def _one_split(
    x: Floats, v: Floats, scope: Scope, usable: np.ndarray, chooses: np.ndarray
) -> tuple[int, float, float] | None:
    """The chosen column, and its coefficient on the choosing and on the other responses."""
    first = coefficients(x, v, scope, usable & chooses)
    if not np.isfinite(first).any():
        return None
    column = int(np.nanargmax(np.abs(first)))
    second = coefficients(x[:, [column]], v, scope, usable & ~chooses)
    return column, float(first[column]), float(second[0])


def coefficients(x: Floats, v: Floats, scope: Scope, rows: np.ndarray) -> Floats:
    """(C,) Spearman of each variable with the first of v, given the others, of some responses.

    Args:
        x: (n, C).
        v: (n, 1 + k).
        scope: pooled or within strata.
        rows: (n,) bool, the responses that count.
    """
    labels = np.zeros(len(x)) if scope.labels is None else scope.labels
    _, stratum = np.unique(labels[rows], return_inverse=True)
    if len(stratum) < 2:
        return np.full(x.shape[1], np.nan)
    others = _ranks(v[rows].T, stratum)
    varies = _sums(others[:, 0] ** 2, stratum)[stratum] > 0
    result = np.full(x.shape[1], np.nan)
    for column, values in enumerate(x[rows].T):
        if not np.isfinite(values).all():
            continue
        own = _ranks([values], stratum)[:, 0]
        keep = varies & (_sums(own**2, stratum)[stratum] > 0)
        kept, left = own[keep], others[keep]
        sums = (kept @ kept)[None, None], (kept @ left)[None, None], (left.T @ left)[None]
        result[column] = partial_correlation(*sums)[0, 0]
    return result


def _ranks(variables: Sequence[Floats] | np.ndarray, stratum: np.ndarray) -> Floats:
    """(n, k) centred ranks within strata, scaled so that a stratum counts by its responses."""
    size = np.bincount(stratum)[stratum]
    return np.column_stack([Ranking.of(one, stratum).centred / size for one in variables])


def _sums(values: Floats, stratum: np.ndarray) -> Floats:
    return np.bincount(stratum, weights=values).astype(np.float64)
