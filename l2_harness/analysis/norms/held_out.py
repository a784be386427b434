"""The layer and statistic chosen on some questions and measured on the others.

Whoever looks at a hundred layers and statistics finds one that fits well by chance. Half the
questions choose, and the other half says what the choice is worth. The surest coefficient is
chosen, that of the smallest p: the largest is often that of the fewest questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.analysis.norms.association import OutcomeVariable, Scope
from l2_harness.statistics.associations import Associations, Part, rank_associations
from l2_harness.statistics.estimate import UNKNOWN, Estimate, Floats
from l2_harness.statistics.resamples import Resamples

#: Further splits, which say how much the first one owes to chance.
REPEATS = 10
#: Resamples of the choosing questions, which only order the variables.
_CHOOSING = 200


@dataclass(frozen=True)
class HeldOutChoice:
    """What a choice came to.

    Attributes:
        scope, control: which Spearman coefficient.
        controlled_for: the covariates that were taken out.
        column: the variable of the surest coefficient on the choosing questions.
        in_sample: that coefficient.
        choosing: how many of the choosing questions it rests on, those in which it varies.
        held_out: the same variable's on the other questions, with how many it rests on there.
        overstated: by how much the coefficient shrinks from the choosing to the other questions,
            with the sign of the choice: the mean over this and further splits.
        overstated_spread: its standard deviation over splits.
        splits: how many.
    """

    scope: str
    control: str
    controlled_for: tuple[str, ...]
    column: int
    in_sample: float
    choosing: int
    held_out: Estimate
    overstated: float
    overstated_spread: float
    splits: int


@dataclass(frozen=True, eq=False)
class _Responses:
    """What is related, n responses: see :func:`choose_held_out`; ``columns`` are those of x that
    can be chosen.
    """

    x: Floats
    columns: np.ndarray
    y: Floats
    covariates: Floats
    labels: np.ndarray | None
    question: np.ndarray

    def related(
        self,
        rows: np.ndarray,
        columns: Sequence[int],
        controls: Mapping[str, Sequence[int]],
        resamples: int,
        seed: int,
    ) -> Mapping[tuple[str, str], Associations]:
        """Of the responses ``rows`` (n,) bool, resampling their own questions."""
        drawn = Resamples(self.question[rows], resamples, seed)
        return rank_associations(
            Part(self.x, np.flatnonzero(rows), self.columns[columns]),
            self.y[rows],
            self.covariates[rows],
            None if self.labels is None else self.labels[rows],
            *(drawn.question, drawn, controls),
        )


def choose_held_out(
    x: Floats,
    outcome: OutcomeVariable,
    scope: Scope,
    covariates: Floats,
    question: np.ndarray,
    *,
    names: Sequence[str] = (),
    share: float = 0.5,
    repeats: int = REPEATS,
    resamples: int = 2000,
    seed: int = 0,
) -> list[HeldOutChoice]:
    """Choose the variable of the surest Spearman coefficient on some questions.

    Args:
        x: (n, C) the variables; one that is nan anywhere can't be chosen.
        outcome: what they are related to; each of its controls has a choice.
        scope: pooled or within strata.
        covariates: (n, k) what is controlled for; k may be 0.
        question: (n,) labels; whole questions fall on one side.
        names: (k,) of the covariates.
        share: of the questions, those that choose.
        repeats: further splits.
        resamples: of the interval.
        seed: of the splits and the resampling.

    Returns:
        One a control; none where there are fewer than four questions, or nothing can be chosen.
    """
    labels, member = np.unique(question, return_inverse=True)
    if len(labels) < 4:
        return []
    usable = np.isfinite(outcome.values) & np.isfinite(covariates).all(axis=1)
    columns = np.flatnonzero([np.isfinite(one[usable]).all() for one in x.T])
    if not len(columns):
        return []
    responses = _Responses(x, columns, outcome.values, covariates, scope.labels, question)
    wanted = {name: [names.index(one) for one in of] for name, of in outcome.controls.items()}
    chooses = [
        _split(len(labels), share, np.random.default_rng([seed, k]))[member]
        for k in range(repeats + 1)
    ]
    splits = [_Split.of(responses, usable, one, wanted, seed) for one in chooses]
    choices = []
    for control, of in outcome.controls.items():
        first = splits[0].choice(control)
        if first is None:
            continue
        column, figures = first
        shrinks = np.array([one.shrinks(control) for one in splits])
        known = shrinks[np.isfinite(shrinks)]
        choices.append(
            HeldOutChoice(
                *(scope.name, control, tuple(of), int(columns[column])),
                *(figures.value, figures.questions),
                held_out=splits[0].measured(column, control, resamples),
                overstated=float(known.mean()) if len(known) else np.nan,
                overstated_spread=float(known.std(ddof=1)) if len(known) > 1 else np.nan,
                splits=len(known),
            )
        )
    return choices


@dataclass(frozen=True, eq=False)
class _Split:
    """All variables' coefficients on the questions that choose, and the other responses."""

    responses: _Responses
    others: np.ndarray
    controls: Mapping[str, Sequence[int]]
    seed: int
    choosing: Mapping[tuple[str, str], Associations]

    @classmethod
    def of(
        cls,
        responses: _Responses,
        usable: np.ndarray,
        chooses: np.ndarray,
        controls: Mapping[str, Sequence[int]],
        seed: int,
    ) -> _Split:
        columns = range(len(responses.columns))
        return cls(
            *(responses, usable & ~chooses, controls, seed),
            responses.related(usable & chooses, columns, controls, _CHOOSING, seed),
        )

    def choice(self, control: str) -> tuple[int, Estimate] | None:
        """The column of the smallest p; None where none has one."""
        if not self.choosing:
            return None
        found = self.choosing["spearman", control]
        if not np.isfinite(found.estimates.p).any():
            return None
        column = int(np.nanargmin(found.estimates.p))
        return column, found.estimate(column)

    def shrinks(self, control: str) -> float:
        """By how much the choice is smaller on the other questions."""
        chosen = self.choice(control)
        if chosen is None:
            return float("nan")
        column, figures = chosen
        there = self.measured(column, control, 0).value
        return float(np.sign(figures.value) * (figures.value - there))

    def measured(self, column: int, control: str, resamples: int) -> Estimate:
        """A column on the other questions."""
        wanted = {control: self.controls[control]}
        found = self.responses.related(self.others, [column], wanted, resamples, self.seed)
        return found["spearman", control].estimate() if found else UNKNOWN


def _split(questions: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """(questions,) bool: which of them choose; at least two on either side."""
    n = min(max(round(share * questions), 2), questions - 2)
    chooses = np.zeros(questions, dtype=bool)
    chooses[rng.permutation(questions)[:n]] = True
    return chooses
