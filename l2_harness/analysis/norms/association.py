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

from l2_harness.statistics.associations import Associations, rank_associations
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.resamples import Resamples
from l2_harness.statistics.significance import holm

if TYPE_CHECKING:
    import pandas as pd

_KEYS = ["column", "measure", "control"]
#: Values that are copied to be ranked.
_AT_ONCE = 1 << 23


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
    table = _empty(x.shape[1], outcome, controls)
    for columns, rows in _by_availability(x, known):
        found = rank_associations(
            *(x[rows[:, None], columns], outcome.values[rows], beside[rows]),
            None if scope.labels is None else scope.labels[rows],
            *(resamples.question[rows], resamples, wanted),
        )
        for key, figures in found.items():
            _fill(table, key, columns, figures)
    return table.reset_index().assign(scope=scope.name, outcome=outcome.name)


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


def _empty(
    n_columns: int, outcome: OutcomeVariable, controls: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The rows of the result, without figures."""
    import pandas as pd

    known = outcome.values[np.isfinite(outcome.values)]
    pairs = [("spearman", control) for control in controls]
    if np.isin(known, (0.0, 1.0)).all():
        pairs.append(("auroc", "none"))
    rows = [(column, *pair) for column in range(n_columns) for pair in pairs]
    empty = pd.DataFrame(rows, columns=_KEYS)
    empty = empty.assign(
        **dict.fromkeys(("value", "value_low", "value_high", "p"), np.nan),
        responses=0,
        questions=0,
        controlled_for=[", ".join(controls[control]) for control in empty["control"]],
    )
    return empty.set_index(_KEYS)


def _fill(
    table: pd.DataFrame, key: tuple[str, str], columns: Sequence[int], found: Associations
) -> None:
    rows = table.index.get_indexer([(column, *key) for column in columns])
    figures = {
        **found.estimates.columns("value"),
        "p": found.estimates.p,
        "responses": found.responses,
        "questions": found.questions,
    }
    for name, values in figures.items():
        table.iloc[rows, table.columns.get_loc(name)] = values


def _by_availability(x: Floats, known: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Columns that the same responses have, with these responses' numbers, some at a time."""
    found: dict[bytes, tuple[list[int], np.ndarray]] = {}
    for index, has in enumerate((np.isfinite(x) & known[:, None]).T):
        found.setdefault(has.tobytes(), ([], np.flatnonzero(has)))[0].append(index)
    return [
        (columns[start : start + width], rows)
        for columns, rows in found.values()
        for width in [max(_AT_ONCE // max(len(rows), 1), 1)]
        for start in range(0, len(columns), width)
    ]
