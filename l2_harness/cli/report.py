"""``l2-harness report``: what analyses found, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from l2_harness.cli.outputs import file_option
from l2_harness.cli.recorded_options import (
    Filter,
    IncludePath,
    Metric,
    RunId,
    Tokenizer,
    seed_option,
)

if TYPE_CHECKING:
    from l2_harness.report import ResponseSet

#: Above this a browser takes seconds to open the file.
_BIG = 25_000_000


def command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder in or below which the sections are."),
    ],
    traces: Annotated[
        Path | None, typer.Option(help="Trace folder of a run whose responses are shown.")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help="lm-eval's sample file of that run, or its folder: right or wrong."),
    ] = None,
    responses: Annotated[int, typer.Option(min=1, help="How many responses are shown.")] = 40,
    task: Annotated[str | None, typer.Option(help="Responses of this task only.")] = None,
    run_id: RunId = None,
    tokenizer: Tokenizer = None,
    include_path: IncludePath = None,
    filter: Filter = None,
    metric: Metric = None,
    seed: Annotated[int, seed_option("Of the choice of responses.")] = 0,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    out: Annotated[Path | None, file_option("DIR/report.html by default.", metavar="FILE")] = None,
) -> None:
    """All sections below DIR as one HTML file that opens without a network."""
    from l2_harness.config.errors import ConfigError
    from l2_harness.findings.section import find_sections
    from l2_harness.findings.words import count
    from l2_harness.report import ResponseSource, VerdictSource, load_responses, write_report

    if traces is None and samples is not None:
        raise ConfigError("--samples judges responses: pass --traces TRACE_DIR with it.")
    shown: ResponseSet | None = None
    sections = find_sections(folder)  # before the traces are read, which may take a while
    if traces is not None:
        source = None
        if samples is not None:
            source = VerdictSource(samples, tuple(include_path or ()), filter, metric)
        shown = load_responses(
            ResponseSource(traces, source, responses, task, run_id, tokenizer, seed)
        )
    file = write_report(folder, responses=shown, title=title, out=out)
    size = file.stat().st_size
    also = "" if shown is None else f", {count(len(shown.views), 'response')}"
    print(f"{file}: {count(len(sections), 'section')}{also}, {size / 1e6:.1f} MB")
    if shown is not None and size > _BIG:
        print("It opens slowly at that size: pass a smaller --responses.")
