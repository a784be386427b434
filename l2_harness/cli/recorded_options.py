"""Options that the commands on a recorded run share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from l2_harness.config.layers import LayerSelection

#: More draws tell nothing more, and fill the memory.
MOST_RESAMPLES = 100_000
Resamples = Annotated[int, typer.Option(min=2, max=MOST_RESAMPLES, help="Of the bootstrap.")]
RunId = Annotated[str | None, typer.Option(help="Which run, where there are several.")]
RecordedLayers = Annotated[
    str | None, typer.Option(help="Of the recorded layers, those that count: late, 20-26+30.")
]
Tokenizer = Annotated[
    str | None, typer.Option(help="In place of the run's own: a folder or hub name.")
]
IncludePath = Annotated[
    list[Path] | None,
    typer.Option(exists=True, file_okay=False, help="Folders of task YAMLs, as lm-eval's."),
]
Metadata = Annotated[str, typer.Option(help="For the task, as lm-eval's: JSON or a=1,b=2.")]
Filter = Annotated[str | None, typer.Option(help="Of the task's filters; the first by default.")]
Metric = Annotated[str | None, typer.Option(help="Of the task's metrics; the first by default.")]


def seed_option(help: str) -> Any:
    """A seed that every library takes."""
    return typer.Option(min=0, max=2**32 - 1, help=help)


def parse_layers(value: str | None) -> LayerSelection | None:
    """``--layers`` as a selection of layers; None for all that were recorded."""
    from l2_harness.config.layers import LayerSelection

    return None if value is None else LayerSelection.parse(value)
