"""Groups of tasks: which of a run's tasks stand for themselves, and which make one together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from l2_harness.lm_eval_files.metrics import figures_of
from l2_harness.lm_eval_files.outcomes import Aggregate, Weighting
from l2_harness.lm_eval_files.runs import Run

_TOLERANCE = 1e-6


def task_groups(run: Run, *, subtasks: bool = False) -> dict[str, list[str]]:
    """What is compared → the tasks it is made of.

    A group with a figure of its own that is in no other such group is one task, with the questions
    of all its subtasks. One without (a tag, a suite of different metrics) stands for its members.

    Args:
        run: of lm-eval.
        subtasks: every task for itself.
    """
    members = {
        group: [str(one) for one in of_group]
        for group, of_group in run.table("group_subtasks").items()
        if isinstance(of_group, list) and of_group
    }
    if subtasks:
        return {task: [task] for task in run.tasks if task not in members}
    inner = {name for of_group in members.values() for name in of_group}
    found: dict[str, list[str]] = {}
    for name in [*members, *run.tasks]:
        if name not in inner:
            _descend(run, name, members, (), found)
    covered = {task for of_group in found.values() for task in of_group}
    # A damaged file: groups in each other.
    found |= {task: [task] for task in run.tasks if task not in {*covered, *members}}
    order = [*run.tasks, *found]
    return {name: found[name] for name in dict.fromkeys(order) if name in found}


def _descend(
    run: Run,
    name: str,
    members: Mapping[str, Sequence[str]],
    above: tuple[str, ...],
    found: dict[str, list[str]],
) -> None:
    """Add a task, a group that counts as one, or else its members."""
    if name in above:
        return
    leaves = [task for task in _leaves(name, members, ()) if task in run.tasks]
    if name not in members or (leaves and figures_of(run, name)):
        if name in members or name in run.tasks:
            found[name] = leaves
        return
    for one in members[name]:
        _descend(run, one, members, (*above, name), found)


def _leaves(name: str, members: Mapping[str, Sequence[str]], above: tuple[str, ...]) -> list[str]:
    if name not in members:
        return [name]
    if name in above:
        return []
    inner = [_leaves(one, members, (*above, name)) for one in members[name]]
    return list(dict.fromkeys(task for tasks in inner for task in tasks))


def weighting_of(
    figure: Aggregate | None, means: Sequence[float], sizes: Sequence[int]
) -> Weighting | None:
    """How a group's own figure comes from its tasks'; by questions where it has none.

    Args:
        figure: its own.
        means: the tasks'.
        sizes: their questions.

    Returns:
        None: in neither way.
    """
    if figure is None:
        return "questions"
    by_size = sum(m * n for m, n in zip(means, sizes, strict=True)) / max(sum(sizes), 1)
    by_task = sum(means) / len(means)
    close = _TOLERANCE * max(1.0, abs(figure.value))
    if abs(figure.value - by_size) <= close:
        return "questions"
    return "tasks" if abs(figure.value - by_task) <= close else None


def pooled(figures: Sequence[Aggregate]) -> Aggregate:
    """The mean of tasks' figures weighted by size, of a group that has no figure of its own."""
    sizes = [figure.questions or 1 for figure in figures]
    total = sum(sizes)
    value = sum(figure.value * n for figure, n in zip(figures, sizes, strict=True)) / total
    errors = [figure.stderr for figure in figures if figure.stderr is not None]
    stderr = None
    if len(errors) == len(figures):
        stderr = sum((e * n / total) ** 2 for e, n in zip(errors, sizes, strict=True)) ** 0.5
    return Aggregate(value, stderr, total)
