"""Groups of tasks: which of a run's tasks stand for themselves, and which make one together."""

from __future__ import annotations

from collections.abc import Mapping

from l2_harness.lm_eval_files.runs import Run


def task_groups(run: Run, *, subtasks: bool = False) -> dict[str, list[str]]:
    """What is compared → the tasks it is made of.

    A group that is in no other is one task, with the questions of all its subtasks. A tag is no
    group: lm-eval reports its tasks one by one.

    Args:
        run: of lm-eval.
        subtasks: every task for itself.
    """
    members = {
        group: list(of_group)
        for group, of_group in run.table("group_subtasks").items()
        if isinstance(of_group, list) and of_group
    }
    results = run.table("results")
    leaves = [task for task in results if task not in members]
    if subtasks or not members:
        return {task: [task] for task in leaves}
    inner = {name for of_group in members.values() for name in of_group}
    groups = {group: _leaves(group, members, set()) for group in members if group not in inner}
    grouped = {task for of_group in groups.values() for task in of_group}
    found = {
        group: present
        for group, of_group in groups.items()
        if (present := [task for task in of_group if task in results])
    }
    return {**{task: [task] for task in leaves if task not in grouped}, **found}


def _leaves(name: str, members: Mapping[str, list[str]], above: set[str]) -> list[str]:
    if name not in members:
        return [name]
    if name in above:  # a damaged file: a group in itself
        return []
    inner = [_leaves(str(one), members, above | {name}) for one in members[name]]
    return list(dict.fromkeys(task for tasks in inner for task in tasks))
