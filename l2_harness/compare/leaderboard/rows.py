"""A board's rows: scores, differences, seeds and costs of every method, ranked, then the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from l2_harness.compare.leaderboard.alignment import Aligned
from l2_harness.compare.leaderboard.costs import row_cost, summed
from l2_harness.compare.leaderboard.families import Families
from l2_harness.compare.leaderboard.table import Row, SeedSpread, Verdict
from l2_harness.lm_eval_files.outcomes import Aggregate, Cost, Outcome, Role
from l2_harness.statistics.estimate import Estimate, Floats
from l2_harness.statistics.intervals import wilson
from l2_harness.statistics.paired import Paired
from l2_harness.statistics.verdicts import verdict

_Z = 1.959964


def board_rows(
    tasks: Sequence[Aligned],
    paired: Paired,
    methods: Sequence[str],
    places: Mapping[str, tuple[int, bool]],
    tested: Families,
    roles: Mapping[str, Role],
    margin: float | None = None,
) -> list[Row]:
    """Ranked rows, then unpaired ones by their figure, then failed ones.

    Args:
        tasks: one, or those of an average.
        paired: columns in the order of ``methods``.
        methods: with scores in all tasks.
        places: method → rank and whether it is shared; best first.
        tested: differences between methods.
        roles: of all methods.
        margin: within which a difference counts as none, in the metric's unit.
    """
    higher = tasks[0].higher_is_better
    plain_costs = _costs(tasks, tested.plain) if tested.plain is not None else []
    rows = [
        Row(
            method=method,
            role=roles[method],
            verdict=_verdict(method, roles[method], tested, higher, margin),
            score=paired.scores[methods.index(method)],
            rank=rank,
            tied=tied,
            seeds=_seed_spread(tasks, method, paired.design.weights),
            difference=tested.of(method),
            cost=row_cost(_costs(tasks, method), plain_costs),
            errors=[error for task in tasks for error in task.failures[method]],
            settings=dict(tasks[0].scored[method].outcomes[0].settings),
        )
        for method, (rank, tied) in places.items()
    ]
    if len(tasks) > 1:
        return rows
    apart = tasks[0].apart
    rest = [_unscored(m, own, apart.get(m, "")) for m, own in tasks[0].unscored.items()]
    # Failed rows have no figure and come last.
    sign = -1 if higher else 1
    rest.sort(key=lambda row: sign * row.score.value if row.score else math.inf)
    return rows + rest


def _verdict(
    method: str, role: Role, tested: Families, higher_is_better: bool, margin: float | None
) -> Verdict:
    difference = tested.of(method)
    if method == tested.plain:
        return "plain"
    if difference is None:
        return "not compared"
    if role == "null":
        return "null"
    found = verdict(difference, margin, higher_is_better=higher_is_better)
    return "not shown" if found == "abstain" and margin is None else found


def _seed_spread(tasks: Sequence[Aligned], method: str, weights: Floats) -> SeedSpread | None:
    """None with one seed, or where an average's tasks were not run with the same seeds."""
    own = [task.scored[method] for task in tasks]
    seeds = {tuple(outcome.seed for outcome in one.outcomes) for one in own}
    if len(seeds) > 1 or len(own[0].outcomes) < 2:
        return None
    values = np.concatenate([one.values for one in own], axis=1)
    by_seed = values @ weights
    within = values.var(axis=0, ddof=1) @ weights**2 * len(weights)
    return SeedSpread(
        len(by_seed),
        float(by_seed.std(ddof=1)),
        float(by_seed.min()),
        float(by_seed.max()),
        float(within),
    )


def _costs(tasks: Sequence[Aligned], method: str) -> list[Cost]:
    """A cost a seed, summed over tasks; nothing where tasks have different numbers of seeds."""
    by_task = [[outcome.cost for outcome in task.scored[method].outcomes] for task in tasks]
    if len(by_task) == 1:
        return by_task[0]
    if len({len(own) for own in by_task}) > 1:
        return []
    return [summed(costs) for costs in zip(*by_task, strict=True)]


def _unscored(method: str, outcomes: Sequence[Outcome], reason: str) -> Row:
    """A row without scores by question: a figure as it was reported, a reason, or the error."""
    figures = [o.aggregate for o in outcomes if o.aggregate is not None and not reason]
    errors = [o.error for o in outcomes if o.error is not None]
    if not figures and not errors and not reason:
        errors = ["there are no scores"]
    return Row(
        method=method,
        role=outcomes[0].role,
        verdict="not compared" if figures or reason else "failed",
        score=_reported(figures) if figures else None,
        cost=row_cost([o.cost for o in outcomes if o.aggregate is not None], []),
        unpaired=bool(figures),
        reason=reason,
        errors=errors,
        settings=dict(outcomes[0].settings),
    )


def _reported(figures: Sequence[Aggregate]) -> Estimate:
    """The mean over seeds, whose questions are the same: it is as uncertain as a single one's."""
    value = float(np.mean([figure.value for figure in figures]))
    errors = [figure.stderr for figure in figures if figure.stderr is not None]
    questions = max((figure.questions or 0 for figure in figures), default=0)
    low, high = _interval(value, float(np.mean(errors)) if errors else math.nan, questions)
    return Estimate(value, low, high, questions, questions)


def _interval(value: float, stderr: float, questions: int) -> tuple[float, float]:
    """Normal, or Wilson's where a share's would leave 0 to 1 or have no width."""
    low, high = value - _Z * stderr, value + _Z * stderr
    if not 0 <= value <= 1 or not math.isfinite(stderr) or (stderr > 0 and low >= 0 and high <= 1):
        return low, high
    spread = value * (1 - value)
    size = spread / stderr**2 if stderr > 0 and spread > 0 else float(questions)
    if size < 1:
        return max(low, 0.0), min(high, 1.0)
    lower, upper = wilson(value, size, _Z)
    return float(lower), float(upper)
