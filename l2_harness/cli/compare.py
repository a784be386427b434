"""``l2-harness compare --from``: a leaderboard of existing lm-eval result folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console


def command(
    folders: Annotated[
        list[str] | None, typer.Argument(help="Further folders, as with --from.")
    ] = None,
    from_: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="Folder of lm-eval results: DIR, DIR=method or DIR=model/method."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for tables and figures.")] = Path(
        "l2_leaderboard"
    ),
    plain: Annotated[
        str | None, typer.Option(help="The method that all are compared with.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="exact_match or exact_match,number; a task's first.")
    ] = None,
    pair_by: Annotated[
        str, typer.Option(help="What makes two questions the same: document or doc_id.")
    ] = "document",
    subtasks: Annotated[bool, typer.Option(help="Every task of a group for itself.")] = False,
    detect: Annotated[
        float, typer.Option(min=0.01, help="The difference that matters, in points.")
    ] = 2.0,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Compare runs of lm-eval, of any model class: accuracy, differences, cost, power."""
    from l2_harness.compare.leaderboard import (
        Options,
        leaderboard,
        print_leaderboard,
        write_leaderboard,
    )
    from l2_harness.compare.result_files import from_folders
    from l2_harness.config.errors import ConfigError
    from l2_harness.config.options import choice

    if not from_:
        raise ConfigError("pass the folders: l2-harness compare --from DIR [DIR …].")
    outcomes = from_folders(
        [*from_, *(folders or [])],
        metric=metric,
        plain=plain,
        pair_by=choice("document", "doc_id")("--pair-by", pair_by),
        subtasks=subtasks,
    )
    options = Options(detect=detect, resamples=resamples, seed=seed)
    result = leaderboard(outcomes, options)
    console = _console()
    print_leaderboard(result, console)
    sources = " ".join([*from_, *(folders or [])])
    write_leaderboard(result, out, command=f"l2-harness compare --from {sources} --out {out}")
    console.print(f"\nIn {out}: leaderboard.md, leaderboard.csv, leaderboard.json", highlight=False)


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=100)
