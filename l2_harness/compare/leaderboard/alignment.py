"""Outcomes of one model and task, put on the questions that they all have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.left_out import few
from l2_harness.lm_eval_files.outcomes import Outcome, Role
from l2_harness.statistics.estimate import Floats


@dataclass(frozen=True, eq=False)
class MethodScores:
    """A method's seeds on common questions.

    Attributes:
        outcomes: with scores, in the order of seeds.
        values: (seeds, questions).
    """

    outcomes: Sequence[Outcome]
    values: Floats


@dataclass(frozen=True, eq=False)
class Aligned:
    """A task of a model.

    Attributes:
        questions: what all scored outcomes have, sorted.
        strata: (questions,) what counts the same in the task's figure: one for all of them, or
            the tasks of a group.
        scored: method → its seeds; methods in the order of the outcomes.
        unscored: method → its outcomes, of methods without scores of these questions.
        apart: of the unscored, those that have other scores, and why they can't stand beside.
        failures: method → the errors of its runs.
        roles: method → role, of all.
        notes: what was left out.
    """

    task: str
    metric: str
    higher_is_better: bool
    questions: Sequence[str]
    strata: NDArray[np.int64]
    scored: Mapping[str, MethodScores]
    unscored: Mapping[str, Sequence[Outcome]]
    apart: Mapping[str, str]
    failures: Mapping[str, Sequence[str]]
    roles: Mapping[str, Role]
    notes: Sequence[str]

    @property
    def pooled(self) -> bool:
        """Whether every question counts the same."""
        return len(np.unique(self.strata)) < 2

    def mean(self, method: str) -> Floats:
        """(questions,) mean over the method's seeds."""
        return np.asarray(self.scored[method].values.mean(axis=0))


def align(outcomes: Sequence[Outcome], plain: str | None = None) -> Aligned:
    """Put outcomes of one model and task beside each other.

    What can't stand beside plain, or beside the first where there is none, is set apart: methods
    with another metric, or without a question in common.

    Args:
        outcomes: of one model and task.
        plain: the method that all are compared with.

    Raises:
        ConfigError: outcomes twice of one seed, or of one method in two roles.
    """
    _check(outcomes)
    by_method: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: o.method != plain):
        by_method.setdefault(outcome.method, []).append(outcome)
    metric, higher_is_better = _metric(by_method)
    apart = {
        method: f"its metric is {own[0].metric}, here it is {metric} (--metric names one)"
        for method, own in by_method.items()
        if any(o.metric != metric for o in own if o.scores or o.aggregate)
    }
    known = {
        method: {id(o): scores for o in own if (scores := _finite(o.scores))}
        for method, own in by_method.items()
        if method not in apart
    }
    questions = _common(known, apart)
    scored = {
        method: sorted((o for o in by_method[method] if id(o) in known[method]), key=_by_seed)
        for method in dict.fromkeys(o.method for o in outcomes)
        if known.get(method) and method not in apart
    }
    return Aligned(
        task=outcomes[0].task,
        metric=metric,
        higher_is_better=higher_is_better,
        questions=questions,
        strata=_strata(questions, next(iter(scored.values()), [])),
        scored={
            method: MethodScores(
                own, np.array([[known[method][id(o)][q] for q in questions] for o in own], float)
            )
            for method, own in scored.items()
        },
        unscored={m: own for m, own in by_method.items() if m not in scored},
        apart=apart,
        failures={
            method: [_error(o) for o in own if o.error is not None]
            for method, own in by_method.items()
        },
        roles={o.method: o.role for o in outcomes},
        notes=[*_told(outcomes), *_differing(outcomes), *_fewer(scored, len(questions))],
    )


def _check(outcomes: Sequence[Outcome]) -> None:
    where = ", ".join(filter(None, (outcomes[0].model, outcomes[0].task)))
    twice = [
        f"{method} with seed {seed}"
        for (method, seed), count in Counter((o.method, o.seed) for o in outcomes).items()
        if count > 1
    ]
    if twice:
        raise ConfigError(f"{where}: two runs of {', '.join(twice)}. Name one of them otherwise.")
    roles: dict[str, Role] = {}
    for outcome in outcomes:
        if roles.setdefault(outcome.method, outcome.role) != outcome.role:
            raise ConfigError(
                f"{where}: {outcome.method} is both {roles[outcome.method]} and "
                f"{outcome.role}: one method has one role."
            )


def _metric(by_method: Mapping[str, Sequence[Outcome]]) -> tuple[str, bool]:
    """Plain's metric, which comes first, else the one that most outcomes have."""
    known = [
        (o.metric, o.higher_is_better)
        for own in by_method.values()
        for o in own
        if o.scores or o.aggregate
    ]
    first = next(iter(by_method.values()))[0]
    if first.role == "plain" and (first.scores or first.aggregate):
        return known[0]
    return Counter(known).most_common(1)[0][0] if known else ("", True)


def _common(
    known: Mapping[str, Mapping[int, Mapping[str, float]]], apart: dict[str, str]
) -> list[str]:
    """The questions of all, but for methods that have none in common with those before them."""
    common: set[str] | None = None
    for method, own in known.items():
        if not own:
            continue
        shared = set.intersection(*map(set, own.values()))
        if common is not None and not shared & common:
            apart[method] = (
                "it has no question in common with the other rows: it was limited to other "
                "documents, or its task draws them anew (--pair-by doc_id where their numbers "
                "mean the same question)"
            )
            continue
        common = shared if common is None else common & shared
    return sorted(common or ())


def _strata(questions: Sequence[str], outcomes: Sequence[Outcome]) -> NDArray[np.int64]:
    """A number for each task of a group in which these count the same; else 0."""
    if not outcomes or outcomes[0].weighting == "questions":
        return np.zeros(len(questions), dtype=np.int64)
    tasks = [question.rpartition(":")[0] for question in questions]
    return np.unique(tasks, return_inverse=True)[1].astype(np.int64)


def _told(outcomes: Sequence[Outcome]) -> list[str]:
    """What there is to say of single outcomes, the same words once."""
    methods: dict[str, list[str]] = {}
    for outcome in outcomes:
        for note in outcome.notes:
            methods.setdefault(note, []).append(outcome.method)
    number = len({outcome.method for outcome in outcomes})
    told = {note: list(dict.fromkeys(own)) for note, own in methods.items()}
    return [
        f"{few(own) if len(own) < number or number == 1 else 'All rows'}: {note}."
        for note, own in told.items()
    ]


def _differing(outcomes: Sequence[Outcome]) -> list[str]:
    """Conditions that are not the same for all, a sentence each."""
    names = dict.fromkeys(name for o in outcomes for name in o.conditions)
    told = []
    for name in names:
        methods: dict[str, list[str]] = {}
        for outcome in outcomes:
            if outcome.conditions:
                value = outcome.conditions.get(name, "none")
                methods.setdefault(value, []).append(outcome.method)
        if len(methods) > 1:
            values = (f"{v} ({few(list(dict.fromkeys(m)))})" for v, m in methods.items())
            told.append(f"Not the same in all rows: {name} {', '.join(values)}.")
    return told


def _fewer(scored: Mapping[str, Sequence[Outcome]], questions: int) -> list[str]:
    """What is left of runs with other questions."""
    sizes = {_label(o): len(_finite(o.scores)) for own in scored.values() for o in own}
    if all(size == questions for size in sizes.values()):
        return []
    told = few([f"{name} {size}" for name, size in sizes.items()])
    number = "one" if questions == 1 else str(questions)
    least = min(sizes, key=lambda name: sizes[name])
    cause = sizes[least] == questions and list(sizes.values()).count(questions) == 1
    out = f"; there are more without {least}" if cause else ""
    return [
        f"The runs have different questions ({told}). All figures are of the {number} that every "
        f"run has{out}."
    ]


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in scores.items() if math.isfinite(value)}


def _by_seed(outcome: Outcome) -> tuple[bool, int]:
    return outcome.seed is None, outcome.seed or 0


def _label(outcome: Outcome) -> str:
    return outcome.method if outcome.seed is None else f"{outcome.method} (seed {outcome.seed})"


def _error(outcome: Outcome) -> str:
    error = outcome.error or ""
    return error if outcome.seed is None else f"seed {outcome.seed}: {error}"
