"""``l2-harness analyze``: what recorded norms say, without a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2_harness.cli.command_line import command_line
from l2_harness.cli.each_task import each_task
from l2_harness.cli.lm_eval_options import arguments_of
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.recorded_options import (
    MOST_RESAMPLES,
    Filter,
    IncludePath,
    Metadata,
    Metric,
    RecordedLayers,
    RunId,
    Tokenizer,
    parse_layers,
    seed_option,
)

if TYPE_CHECKING:
    from l2_harness.analysis.norms.study import StudyOptions


def command(
    trace_dir: Annotated[Path, typer.Argument(help="Trace folder of a run with record=tokens.")],
    samples: Annotated[
        Path | None, typer.Option(help="lm-eval's sample file of that run, or its folder.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Which tasks; by default all but the --direct ones.")
    ] = None,
    run_id: RunId = None,
    out: Annotated[Path, folder_option("Folder for the sections.")] = Path("l2_analysis"),
    direct: Annotated[
        list[str] | None,
        typer.Option(help="The task that answers a --task's questions directly; one each."),
    ] = None,
    states: Annotated[
        Path | None, typer.Option(help="Captured states: norms without outlier dimensions too.")
    ] = None,
    tokenizer: Tokenizer = None,
    first_rows: Annotated[
        int, typer.Option(min=0, help="First rows that the second variant leaves out.")
    ] = 4,
    layers: RecordedLayers = None,
    strata: Annotated[
        list[str] | None,
        typer.Option(help="A field of the documents, or several joined by +, to look within."),
    ] = None,
    include_path: IncludePath = None,
    metadata: Metadata = "",
    filter: Filter = None,
    metric: Metric = None,
    resamples: Annotated[
        int, typer.Option(min=20, max=MOST_RESAMPLES, help="Of the bootstrap.")
    ] = 2000,
    held_out: Annotated[
        float, typer.Option(min=0.1, max=0.9, help="Share of questions that choose the layer.")
    ] = 0.5,
    seed: Annotated[int, seed_option("Of everything that is drawn.")] = 0,
) -> None:
    """Norms against correctness, length and confidence; layer profiles; where norms peak."""
    from l2_harness.analysis.norms.study import StudyOptions

    tasks = _tasks(trace_dir, run_id, task or [], direct or [])
    judging: dict[str, Any] = {
        **{"filter": filter, "metric": metric, "metadata": arguments_of("--metadata", metadata)},
        "include_path": tuple(include_path or ()),
    }
    options = StudyOptions(
        trace_dir,
        tasks[0][0],
        samples=samples,
        run_id=run_id,
        states=states,
        tokenizer=tokenizer,
        first_rows=first_rows,
        layers=parse_layers(layers),
        strata=tuple(strata or ()),
        resamples=resamples,
        held_out=held_out,
        seed=seed,
        judging=judging,
    )

    def analyze(name: str, pair: str | None) -> None:
        folder = out if len(tasks) == 1 else out / name
        _run(replace(options, task=name, direct=pair), folder)

    each_task(tasks, analyze)


def _tasks(
    trace_dir: Path, run_id: str | None, tasks: list[str], direct: list[str]
) -> list[tuple[str, str | None]]:
    """The tasks, each with the direct one beside it."""
    from l2_harness.analysis.norms.responses import generated_tasks
    from l2_harness.config.errors import ConfigError

    if not tasks:
        found = generated_tasks(trace_dir, run_id)
        tasks = [name for name in found if name not in direct]
    if not tasks:
        raise ConfigError(f"{trace_dir} holds no generated response (generate_until).")
    if direct and len(direct) != len(tasks):
        raise ConfigError(
            f"--direct names {len(direct)} task(s) for {len(tasks)}: {', '.join(tasks)}. Name one "
            "for each, with --task and --direct in the same order."
        )
    pairs: list[str | None] = [*direct] or [None] * len(tasks)
    return list(zip(tasks, pairs, strict=True))


def _run(options: StudyOptions, out: Path) -> None:
    from l2_harness.analysis.norms.study import study
    from l2_harness.analysis.norms.write import ASSOCIATIONS, STATISTICS, write_study
    from l2_harness.findings.terminal import show

    found = study(options)
    written = write_study(found, out, command_line())
    show(written, out, [ASSOCIATIONS, STATISTICS])
