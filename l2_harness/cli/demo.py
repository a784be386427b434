"""``l2-harness demo``: the whole path, on the model that the package carries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

#: Of 540. Both classes answer them both ways in about two minutes on one core.
DEFAULT_LIMIT = 200


def command(
    out: Annotated[
        Path, typer.Option(help="Folder for results, traces, tables and figures.")
    ] = Path("l2-demo"),
    limit: Annotated[
        int, typer.Option(min=1, help="The first so many problems of each task, of 540.")
    ] = DEFAULT_LIMIT,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap intervals.")] = 0,
    pretrained: Annotated[
        str, typer.Option(help="`demo`, the packaged model, or a model folder or hub name.")
    ] = "demo",
) -> None:
    """Evaluate a small reasoning model through lm-eval, and show what its norms say.

    Runs lm-eval's own `hf` and this project's `l2hf` on the demo tasks, with thinking and
    without; then prints and plots norms per layer, and their correlation with correctness.
    """
    # Before anything imports huggingface_hub: what is on disk needs no network.
    if pretrained == "demo" or Path(pretrained).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")

    from rich.console import Console

    from l2_harness.demo.run import DemoOptions, run_demo

    console = Console()
    try:
        run_demo(DemoOptions(out=out, limit=limit, seed=seed, pretrained=pretrained), console)
    except KeyboardInterrupt:
        console.print(
            f"\nInterrupted. What was done so far is in {out}; the same command goes on from the "
            "recorded traces.",
            highlight=False,
        )
        raise typer.Exit(130) from None
