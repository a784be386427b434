"""How norm statistics go with an outcome: rank correlations and AUROC, with controls.

For every layer and statistic: Spearman's coefficient and, where the outcome is right or wrong, the
AUROC; over all responses, and within strata such as the responses to one question; Spearman's also
controlled for covariates. All by one rule (:mod:`l2_harness.statistics.associations`), on the same
resamples of the questions.

p values are not the share of resamples beyond zero: of 2000 resamples none gives a p below 0.001,
and Holm's correction over a hundred layers and statistics asks for less. Permuting outcomes would
not do either: over all responses they are not exchangeable, since questions differ in difficulty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.statistics.associations import Associations, Part, rank_associations
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.resamples import Resamples
from l2_harness.statistics.significance import holm

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = ("value", "value_low", "value_high", "p")
_COUNTS = ("responses", "questions")


@dataclass(frozen=True, eq=False)
class OutcomeVariable:
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
    outcome: OutcomeVariable,
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
        ``responses``, ``questions`` in which both vary, ``controlled_for`` (the covariates that
        were taken out). ``value`` is nan where it is not defined.
    """
    controls = usable_controls(outcome, covariates, scope)
    names = list(dict.fromkeys(name for names in controls.values() for name in names))
    beside = covariates[names].to_numpy(dtype=float)
    wanted = {name: [names.index(one) for one in of] for name, of in controls.items()}
    known = np.isfinite(outcome.values) & np.isfinite(beside).all(axis=1)
    table = _Table(x.shape[1], outcome, controls)
    for columns, rows in _by_availability(x, known):
        found = rank_associations(
            *(Part(x, rows, np.asarray(columns)), outcome.values[rows], beside[rows]),
            None if scope.labels is None else scope.labels[rows],
            *(resamples.question[rows], resamples, wanted),
        )
        for key, figures in found.items():
            table.fill(columns, key, figures)
    return table.frame().assign(scope=scope.name, outcome=outcome.name)


def usable_controls(
    outcome: OutcomeVariable, covariates: pd.DataFrame, scope: Scope | None = None
) -> dict[str, tuple[str, ...]]:
    """The controls with the covariates that were recorded and vary; a set left empty is dropped.

    Args:
        outcome: whose controls; what is the outcome itself controls for nothing.
        covariates: (n) columns by name.
        scope: within whose strata they must vary; None for anywhere.
    """
    same = {"length": "log_length"}.get(outcome.name, outcome.name)
    labels = None if scope is None else scope.labels
    found = {
        name: tuple(one for one in wanted if one != same and _varies(covariates, one, labels))
        for name, wanted in outcome.controls.items()
    }
    return {name: left for name, left in found.items() if left or not outcome.controls[name]}


def _varies(covariates: pd.DataFrame, name: str, labels: np.ndarray | None) -> bool:
    if name not in covariates:
        return False
    values = covariates[name]
    if labels is None:
        return bool(values.nunique() > 1)
    return bool((values.groupby(labels).nunique() > 1).any())


def corrected(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with ``p_holm``: each family is all layers and statistics of one figure.

    Args:
        table: with ``variant``, ``outcome``, ``scope``, ``measure``, ``control`` and ``p``.
    """
    family = ["variant", "outcome", "scope", "measure", "control"]
    return table.assign(p_holm=table.groupby(family)["p"].transform(lambda p: holm(p.to_numpy())))


class _Table:
    """The result, a row a variable and a column a pair of measure and control."""

    def __init__(
        self, variables: int, outcome: OutcomeVariable, controls: Mapping[str, Sequence[str]]
    ) -> None:
        known = outcome.values[np.isfinite(outcome.values)]
        self._pairs = [("spearman", control) for control in controls]
        if np.isin(known, (0.0, 1.0)).all():
            self._pairs.append(("auroc", "none"))
        self._controls = controls
        shape = variables, len(self._pairs)
        self._figures = {name: np.full(shape, np.nan) for name in _FIGURES}
        self._counts = {name: np.zeros(shape, dtype=np.int64) for name in _COUNTS}

    def fill(self, variables: Sequence[int], pair: tuple[str, str], found: Associations) -> None:
        """The figures of some variables."""
        at = variables, self._pairs.index(pair)
        for name, values in {**found.estimates.columns("value"), "p": found.estimates.p}.items():
            self._figures[name][at] = values
        self._counts["responses"][at] = found.responses
        self._counts["questions"][at] = found.questions

    def frame(self) -> pd.DataFrame:
        """A row a variable and pair."""
        import pandas as pd

        variables = len(self._counts["questions"])
        measure, control = zip(*self._pairs, strict=True)
        return pd.DataFrame(
            {
                "column": np.repeat(np.arange(variables), len(self._pairs)),
                "measure": measure * variables,
                "control": control * variables,
                **{name: of.ravel() for name, of in {**self._figures, **self._counts}.items()},
                "controlled_for": [", ".join(self._controls[one]) for one in control] * variables,
            }
        )


def _by_availability(x: Floats, known: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Columns that the same responses have, with these responses' numbers."""
    found: dict[bytes, tuple[list[int], np.ndarray]] = {}
    for index in range(x.shape[1]):
        has = np.isfinite(x[:, index]) & known
        found.setdefault(has.tobytes(), ([], np.flatnonzero(has)))[0].append(index)
    return list(found.values())
