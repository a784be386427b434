"""``l2-harness tasks``: this project's lm-eval tasks, where they are and whether they work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from l2_harness.benchmarks.check import TaskCheck

app = typer.Typer(help="This project's lm-eval tasks.", no_args_is_help=True)


@app.callback()
def tasks() -> None:
    """This project's lm-eval tasks."""


@app.command()
def path() -> None:
    """Print the folder to give to lm_eval as --include_path."""
    from l2_harness.paths import tasks_dir

    print(tasks_dir())


@app.command(name="list")
def list_() -> None:
    """Show the tasks with their data sets, sizes and metrics, and the groups."""
    _print(_task_table(), _group_table())


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Tasks or groups; else all.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of local JSONL files, in place of the hub.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Documents a task to score; all by default.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the rendered prompts.")] = False,
) -> None:
    """Load tasks, render three prompts each, and score gold answers (must be right) and wrong ones.

    Ends with status 1 if a task fails, or if one that was named could not be loaded.
    """
    from l2_harness.benchmarks.check import check_task
    from l2_harness.benchmarks.listing import benchmark_names
    from l2_harness.config.errors import ConfigError

    if data is not None and not data.is_dir():
        raise ConfigError(f"--data={str(data)!r} is no folder.")
    checks = [check_task(name, data, limit) for name in benchmark_names(names)]
    loaded = [one for one in checks if one.problem is None]
    wanted = checks if names else loaded
    _print(_check_table(wanted))
    for one in wanted:
        _print_details(one, show)
    if len(wanted) < len(checks):
        _print_unloaded([one for one in checks if one.problem is not None])
    if not loaded or not all(one.passed for one in wanted):
        raise typer.Exit(1)


def _task_table() -> Table:
    from rich.table import Table

    from l2_harness.benchmarks.listing import list_tasks

    table = Table(
        title="Tasks",
        caption="forms: l2_X has an l2_X_direct and, for base models, an l2_X_base. With acc: "
        "no_answer, truncated, ending_unknown, unverified, chars, words, tokens; with "
        "l2_repeats=n: avg@n, pass@k, maj@n.",
    )
    for column in ("task", "forms", "data set", "revision", "split"):
        table.add_column(column, overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("metric", overflow="fold")
    for task in list_tasks():
        row = [task.name, ", ".join(task.forms), task.dataset, (task.revision or "")[:7]]
        table.add_row(*row, task.split, str(task.rows or ""), task.metrics[0])
    return table


def _group_table() -> Table:
    from rich.table import Table

    from l2_harness.benchmarks.listing import list_groups

    table = Table(title="Groups")
    table.add_column("group")
    table.add_column("members", overflow="fold")
    for group in list_groups():
        table.add_row(group.name, ", ".join(group.members))
    return table


def _check_table(checks: list[TaskCheck]) -> Table:
    from rich.table import Table

    table = Table(title="Gold answers scored right, wrong answers scored right")
    table.add_column("task", overflow="fold")
    for column in ("documents", "gold", "wrong", "unverified"):
        table.add_column(column, justify="right")
    table.add_column("outcome", overflow="fold")
    for one in checks:
        if one.problem is not None:
            table.add_row(one.task, "", "", "", "", "not loaded")
            continue
        counts = (f"{scored}/{tried}" for scored, tried in (one.right, one.wrong))
        outcome = "passed" if one.passed else "FAILED"
        table.add_row(one.task, str(one.documents), *counts, str(one.unverified), outcome)
    return table


def _print_unloaded(checks: list[TaskCheck]) -> None:
    """One line for all tasks that nobody named and whose data is not there."""
    names = ", ".join(one.task for one in checks)
    print(f"{len(checks)} tasks not loaded: {names}\nthe first because: {checks[0].problem}")


def _print_details(one: TaskCheck, show: bool) -> None:
    """Why a task was not loaded, what failed, and what its prompts look like if asked for."""
    if one.problem is not None:
        print(f"{one.task}: not loaded: {one.problem}")
    for failure in one.failures:
        print(
            f"{one.task}: document {failure.doc_id}, {failure.form}: {failure.verdict}; "
            f"gold {failure.target!r}, answer {failure.answer!r}"
        )
    for number, prompt in enumerate(one.prompts if show else [], start=1):
        print(f"--- {one.task}, prompt {number}\n{prompt}")


def _print(*tables: Table) -> None:
    from rich.console import Console

    # wide enough for every column where the output is no terminal
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    for table in tables:
        console.print(table)
