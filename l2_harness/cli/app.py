"""The table of subcommands."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from l2_harness import __version__
from l2_harness.cli import (
    analyze,
    bench,
    calibrate,
    capture,
    causal,
    compare,
    demo,
    export,
    report,
    sae,
    select,
    selectors,
    tasks,
)
from l2_harness.cli.interrupted import Interrupted


class _Commands(TyperGroup):
    """Ctrl-C leaves as an error of ours: Typer would say `Aborted.`, and not how to go on."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


app = typer.Typer(
    name="l2-harness",
    cls=_Commands,
    help="Hidden-state norms of language models, on top of lm-evaluation-harness.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(tasks.app, name="tasks")
app.add_typer(bench.app, name="bench")
app.add_typer(sae.app, name="sae")
app.command(name="demo")(demo.command)
app.command(name="compare")(compare.command)
app.command(name="export")(export.command)
app.command(name="analyze")(analyze.command)
app.command(name="causal")(causal.command)
app.command(name="capture")(capture.command)
app.command(name="report")(report.command)
app.command(name="select")(select.command)
app.command(name="selectors")(selectors.command)
app.command(name="calibrate")(calibrate.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"l2-harness {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Options that stand before a subcommand."""
