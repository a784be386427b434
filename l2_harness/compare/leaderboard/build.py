"""Outcomes → a leaderboard. Pure: no files, no words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from l2_harness.compare.decision import Decision
from l2_harness.compare.leaderboard.alignment import Aligned, align
from l2_harness.compare.leaderboard.claims import claim_rows
from l2_harness.compare.leaderboard.families import families
from l2_harness.compare.leaderboard.options import Options
from l2_harness.compare.leaderboard.places import rank_groups
from l2_harness.compare.leaderboard.rows import board_rows
from l2_harness.compare.leaderboard.table import Board, Leaderboard, Row
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.left_out import few
from l2_harness.lm_eval_files.outcomes import Outcome, Role
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.paired import Paired

AVERAGE = "average"


class PublishedFigure(Protocol):
    """Others' figure, as a suite names it."""

    @property
    def pattern(self) -> str:
        """``model/task/method``, each of which may be a glob."""

    @property
    def value(self) -> float:
        """In the unit of its source."""

    @property
    def baseline(self) -> float | None:
        """What plain has there, where that is known."""


def leaderboard(
    outcomes: Sequence[Outcome],
    options: Options | None = None,
    published: Sequence[PublishedFigure] = (),
    notes: Sequence[str] = (),
    decision: Decision | None = None,
) -> Leaderboard:
    """Compare all methods of each model on each task and on the average of its tasks.

    Args:
        outcomes: of any models, tasks, methods and seeds.
        options: how intervals and tests are made.
        published: others' figures, to stand beside ours; the first that fits a row is shown.
        notes: of the whole.
        decision: what is claimed and how verdicts are reached; None where nothing was fixed.

    Raises:
        ConfigError: no outcomes; two plain methods; two runs of one seed.
    """
    if not outcomes:
        raise ConfigError("there are no outcomes to compare.")
    options = options or Options()
    boards: list[Board] = []
    for of_model in _grouped(outcomes, "model").values():
        model, plain = of_model[0].model, _plain(of_model)
        tasks = [align(of_task, plain) for of_task in _grouped(of_model, "task").values()]
        rule = options, published, decision
        own = [_board(model, [task], plain, *rule) for task in tasks]
        averaged = [t for t, b in zip(tasks, own, strict=True) if t.pooled and _can_be_averaged(b)]
        if len(averaged) > 1 and _worth_averaging(averaged):
            left_out = [task.task for task in tasks if task not in averaged]
            boards.append(_board(model, averaged, plain, *rule, left_out))
        boards += own
    return Leaderboard(boards, options, notes, decision)


def _grouped(outcomes: Sequence[Outcome], name: str) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(getattr(outcome, name), []).append(outcome)
    return groups


def _plain(outcomes: Sequence[Outcome]) -> str | None:
    names = list(dict.fromkeys(o.method for o in outcomes if o.role == "plain"))
    if len(names) > 1:
        raise ConfigError(
            f"{outcomes[0].model}: {' and '.join(names)} both have the role plain. All are "
            "compared with one of them; give the others the role null."
        )
    return names[0] if names else None


def _can_be_averaged(board: Board) -> bool:
    """Whether a task's scores may be averaged with another's."""
    return board.percent and board.higher_is_better and board.questions > 0


def _worth_averaging(tasks: Sequence[Aligned]) -> bool:
    """Whether two methods have scores in all tasks, or there is only one anyway."""
    own = [set(task.scored) for task in tasks]
    return len(set.intersection(*own)) > 1 or len(set.union(*own)) == 1


def _board(
    model: str,
    tasks: Sequence[Aligned],
    plain: str | None,
    options: Options,
    published: Sequence[PublishedFigure],
    decision: Decision | None = None,
    left_out: Sequence[str] = (),
) -> Board:
    """One task, or the average of several over the methods that have scores in all of them."""
    methods = [m for m in tasks[0].scored if all(m in task.scored for task in tasks)]
    roles: dict[str, Role] = {m: r for task in tasks for m, r in task.roles.items()}
    design = Design.of(sum(len(task.questions) for task in tasks), _strata(tasks))
    paired = Paired(_values(tasks, methods), design, options.level, options.flips, options.seed)
    against = plain if plain in methods else None
    pairs = decision.pairs(against, methods.__contains__) if decision is not None else ()
    tested = families(paired, methods, roles, against, pairs)
    higher = tasks[0].higher_is_better
    # Rounded, so that equal shares of right answers are equal whatever their sums' last bit.
    means = np.round(-paired.means if higher else paired.means, 12)
    places = rank_groups([methods[i] for i in np.argsort(means, kind="stable")], tested.differ)
    name = tasks[0].task if len(tasks) == 1 else AVERAGE
    percent = _percent(tasks, paired)
    margin = decision.margin / 100 if decision is not None and percent else None
    rows = board_rows(tasks, paired, methods, places, tested, roles, margin)
    metrics = {task.metric for task in tasks}
    return Board(
        model=model,
        task=name,
        tasks=[task.task for task in tasks] if len(tasks) > 1 else (),
        metric=metrics.pop() if len(metrics) == 1 else "each task's own",
        percent=percent,
        higher_is_better=higher,
        questions=paired.questions,
        rows=[_with_published(row, f"{model}/{name}/{row.method}", published) for row in rows],
        plain=tested.plain,
        reason=_reason(tasks, methods, plain),
        null=max((abs(d.value) for d in tested.nulls.values()), default=None),
        family=tested.size,
        margin=margin,
        claims=claim_rows(decision, tested, rows, margin, higher),
        notes=_notes(tasks, methods, roles, left_out),
    )


def _reason(tasks: Sequence[Aligned], methods: Sequence[str], plain: str | None) -> str:
    """Why there is nothing to compare with; empty where there is."""
    if plain is None or all(plain not in task.roles for task in tasks):
        return "there is no plain run to compare with"
    if plain in methods:
        return ""
    if any(task.failures.get(plain) for task in tasks):
        return f"there is no plain run to compare with, as {plain} failed"
    return f"{plain}, which all are compared with, has no scores of single questions here"


def _values(tasks: Sequence[Aligned], methods: Sequence[str]) -> Floats:
    """(questions of all tasks, methods)."""
    by_task = [
        np.stack([task.mean(m) for m in methods], axis=1)
        if methods
        else np.empty((len(task.questions), 0))
        for task in tasks
    ]
    return np.concatenate(by_task)


def _strata(tasks: Sequence[Aligned]) -> NDArray[np.int64]:
    if len(tasks) == 1:
        return tasks[0].strata
    return np.repeat(np.arange(len(tasks)), [len(task.questions) for task in tasks])


def _percent(tasks: Sequence[Aligned], paired: Paired) -> bool:
    """Whether all scores, and all figures without scores, are shares of 1."""
    figures = [
        outcome.aggregate.value
        for task in tasks
        for method, own in task.unscored.items()
        for outcome in own
        if method not in task.apart and outcome.aggregate is not None
    ]
    return paired.bounded and all(0 <= f <= 1 for f in figures if math.isfinite(f))


def _with_published(row: Row, name: str, published: Sequence[PublishedFigure]) -> Row:
    parts = name.rsplit("/", 2)
    for one in published:
        pattern = one.pattern.rsplit("/", 2)
        if len(pattern) == len(parts) and all(map(fnmatchcase, parts, pattern)):
            return replace(row, published=one.value, published_plain=one.baseline)
    return row


def _notes(
    tasks: Sequence[Aligned],
    methods: Sequence[str],
    roles: Mapping[str, Role],
    left_out: Sequence[str],
) -> list[str]:
    if len(tasks) == 1:
        return list(tasks[0].notes)
    notes = ["Every task counts the same, however many questions it has."]
    if left_out:
        notes.append(
            f"Not in the average: {few(left_out)}, whose scores are no shares of 1 with more "
            "being better, weigh a group's tasks, or are not known question by question."
        )
    for method in roles:
        if method not in methods:
            missing = [task.task for task in tasks if method not in task.scored]
            notes.append(f"Not in the average: {method}, without scores on {few(missing)}.")
    if len(set().union(*(task.questions for task in tasks))) < sum(len(t.questions) for t in tasks):
        notes.append(
            "Some tasks ask the same questions. The average's intervals take them for different "
            "ones, and may be too short."
        )
    return notes
