"""``l2-harness tasks``: where this project's lm-eval tasks are."""

from __future__ import annotations

import typer

app = typer.Typer(help="This project's lm-eval tasks.", no_args_is_help=True)


@app.callback()
def tasks() -> None:
    """This project's lm-eval tasks."""


@app.command()
def path() -> None:
    """Print the folder to give to lm_eval as --include_path."""
    from l2_harness.paths import tasks_dir

    print(tasks_dir())
