"""``l2-harness bench``: what this project costs, measured on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from l2_harness.models.recording_cost import RecordingCost
    from l2_harness.registration.startup_cost import StartupCost

app = typer.Typer(help="Measure what this project costs.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure what this project costs."""


@app.command()
def startup(
    rounds: Annotated[
        int, typer.Option(min=2, help="Interpreter starts of each kind, in alternation.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")] = False,
) -> None:
    """Measure what the import hook adds to a bare `python -c pass`, in milliseconds."""
    from l2_harness.registration.startup_cost import measure_startup

    cost = measure_startup(rounds)
    if as_json:
        print(json.dumps(cost.as_dict(), indent=2))
    else:
        _print_table(cost)


def _print_table(cost: StartupCost) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"python -c pass, {cost.rounds} starts of each kind (Python {cost.python})")
    table.add_column("environment")
    for column in ("median ms", "quartiles ms", "added ms", "95 % interval"):
        table.add_column(column, justify="right")
    for row in cost.rows():
        added = ("", "") if row.added is None else (f"{row.added:+.2f}", row.added_interval())
        spread = f"{row.lower_quartile:.2f} to {row.upper_quartile:.2f}"
        table.add_row(row.environment, f"{row.median:.2f}", spread, *added)
    Console().print(table)


@app.command()
def recording(
    rounds: Annotated[int, typer.Option(min=2, help="Runs of each kind, in alternation.")] = 7,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts a batch.")] = 16,
    limit: Annotated[int, typer.Option(min=1, help="Problems of the demo task.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")] = False,
) -> None:
    """Measure what recording norms adds to lm-eval's `hf` on the embedded model."""
    from l2_harness.models.recording_cost import measure_recording

    cost = measure_recording(rounds, batch_size, limit)
    if as_json:
        print(json.dumps(cost.as_dict(), indent=2))
    else:
        _print_recording(cost)


def _print_recording(cost: RecordingCost) -> None:
    from rich.console import Console
    from rich.table import Table

    settings = ", ".join(f"{name}={value}" for name, value in cost.settings.items())
    table = Table(title=f"{cost.tokens} tokens a run; {settings}")
    table.add_column("model")
    for column in ("median s", "ratio to hf", "quartiles"):
        table.add_column(column, justify="right")
    for row in cost.rows():
        spread = f"{row.ratio_low:.3f} to {row.ratio_high:.3f}"
        table.add_row(row.model, f"{row.seconds:.2f}", f"{row.ratio:.3f}", spread)
    Console().print(table)
    print(f"responses equal: {'yes' if cost.responses_equal else 'NO'}")
