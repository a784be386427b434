"""Outcomes of one model and task, put on the questions that they all have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.config.errors import ConfigError
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
        scored: method → its seeds; methods in the order of the outcomes.
        unscored: method → its outcomes, of methods without any scores.
        failures: method → the errors of its runs.
        roles: method → role, of all.
        notes: what was left out.
    """

    task: str
    metric: str
    higher_is_better: bool
    questions: Sequence[str]
    scored: Mapping[str, MethodScores]
    unscored: Mapping[str, Sequence[Outcome]]
    failures: Mapping[str, Sequence[str]]
    roles: Mapping[str, Role]
    notes: Sequence[str]

    def mean(self, method: str) -> Floats:
        """(questions,) mean over the method's seeds."""
        return np.asarray(self.scored[method].values.mean(axis=0))


def align(outcomes: Sequence[Outcome]) -> Aligned:
    """Put outcomes of one model and task beside each other.

    Raises:
        ConfigError: outcomes without a common question, of different metrics, twice of one seed,
            or of one method in two roles.
    """
    _check(outcomes)
    by_method: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_method.setdefault(outcome.method, []).append(outcome)
    known = {id(o): _finite(o.scores) for o in outcomes if o.scores}
    scored = {
        method: sorted((o for o in own if known.get(id(o))), key=_by_seed)
        for method, own in by_method.items()
    }
    questions, notes = _common({id(o): o for own in scored.values() for o in own}, known)
    metrics = [(o.metric, o.higher_is_better) for o in outcomes if o.scores or o.aggregate]
    metric, higher_is_better = metrics[0] if metrics else ("", True)
    return Aligned(
        task=outcomes[0].task,
        metric=metric,
        higher_is_better=higher_is_better,
        questions=questions,
        scored={
            method: MethodScores(
                own, np.array([[known[id(o)][q] for q in questions] for o in own], dtype=float)
            )
            for method, own in scored.items()
            if own
        },
        unscored={m: by_method[m] for m, own in scored.items() if not own},
        failures={
            method: [_error(o) for o in own if o.error is not None]
            for method, own in by_method.items()
        },
        roles={method: own[0].role for method, own in by_method.items()},
        notes=list(dict.fromkeys([note for o in outcomes for note in o.notes] + notes)),
    )


def _check(outcomes: Sequence[Outcome]) -> None:
    where = f"{outcomes[0].model}, {outcomes[0].task}"
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
    metrics: dict[tuple[str, bool], str] = {}
    for o in outcomes:
        if o.scores or o.aggregate:
            metrics.setdefault((o.metric, o.higher_is_better), o.method)
    if len(metrics) > 1:
        told = ", ".join(f"{metric} of {method}" for (metric, _), method in metrics.items())
        raise ConfigError(f"{where}: different metrics, {told}. Name one with --metric.")


def _common(
    outcomes: Mapping[int, Outcome], known: Mapping[int, Mapping[str, float]]
) -> tuple[list[str], list[str]]:
    """The questions of all, and notes of who has more or fewer."""
    if not outcomes:
        return [], []
    everything = set().union(*(known[i] for i in outcomes))
    common = everything.intersection(*(known[i] for i in outcomes))
    if not common:
        raise ConfigError(_disjoint(list(outcomes.values()), known))
    if len(common) == len(everything):
        return sorted(common), []
    sizes = ", ".join(f"{_label(o)} {len(known[i])}" for i, o in outcomes.items())
    first = next(iter(outcomes.values()))
    note = (
        f"{first.task}: the runs have different questions ({sizes}). All figures are of the "
        f"{len(common)} that every run has."
    )
    return sorted(common), [note]


def _disjoint(outcomes: Sequence[Outcome], known: Mapping[int, Mapping[str, float]]) -> str:
    first = outcomes[0]
    shared = set(known[id(first)])
    for outcome in outcomes[1:]:
        if not shared & known[id(outcome)].keys():
            break
        shared &= known[id(outcome)].keys()
    return (
        f"{first.model}, {first.task}: {_label(outcome)} has no question in common with the runs "
        f"before it ({_label(first)}, …), so that they can't stand in one table. Were they limited "
        "to other documents, or does the task draw anew at every start? Leave that run out, or, "
        "where the documents' numbers mean the same question, pair by doc_id."
    )


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in scores.items() if math.isfinite(value)}


def _by_seed(outcome: Outcome) -> tuple[bool, int]:
    return outcome.seed is None, outcome.seed or 0


def _label(outcome: Outcome) -> str:
    return outcome.method if outcome.seed is None else f"{outcome.method} (seed {outcome.seed})"


def _error(outcome: Outcome) -> str:
    error = outcome.error or ""
    return error if outcome.seed is None else f"seed {outcome.seed}: {error}"
