"""A suite run from the command line: its lines, and what an interruption says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from l2_harness.compare.shards import Shard
    from l2_harness.compare.suite import Suite
    from l2_harness.lm_eval_files.outcomes import Outcome


def run_suite(
    suite: Suite,
    out: Path,
    say: Callable[[str], object],
    only: Sequence[str] = (),
    shard: Shard | None = None,
) -> list[Outcome]:
    """What every cell came to, run through lm-eval as far as it has not been.

    Raises:
        typer.Exit: interrupted.
    """
    from l2_harness.compare import runner
    from l2_harness.compare.processes import this_rank
    from l2_harness.compare.progress import Lines, Silent
    from l2_harness.compare.shards import WHOLE

    progress = Lines(say) if this_rank() == 0 else Silent()
    try:
        return runner.run_suite(suite, out, only=only, shard=shard or WHOLE, progress=progress)
    except KeyboardInterrupt:
        say("\ninterrupted; the same command goes on where it was")
        if suite.decision is not None:
            say("it stopped early, so no claim is decided")
        raise typer.Exit(130) from None
