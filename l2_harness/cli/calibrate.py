"""``l2-harness calibrate``: the file that ``threshold=calibrated`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from l2_harness.cli.lm_eval_options import (
    BatchSize,
    ChatTemplate,
    Device,
    GenKwargs,
    Limit,
    TaskFiles,
    TaskNames,
    arguments_of,
    batch_size_of,
    words_of,
)
from l2_harness.cli.outputs import file_option


def command(
    out: Annotated[Path, file_option("The calibration file to write (JSON).")],
    tasks: TaskNames = "l2_demo",
    model_args: Annotated[
        str,
        typer.Option(
            "--model_args", "--model-args", help="Of l2hf; layers= says which layers it holds."
        ),
    ] = "pretrained=demo",
    traces: Annotated[
        Path | None, typer.Option(help="Take recorded traces instead of running anything.")
    ] = None,
    limit: Limit = None,
    batch_size: BatchSize = "16",
    device: Device = None,
    include_path: TaskFiles = None,
    gen_kwargs: GenKwargs = "",
    apply_chat_template: ChatTemplate = True,
) -> None:
    """Write each layer's count, mean and percentiles of norms, from tasks or from traces."""
    from l2_harness.models.calibrate import calibrate, calibrate_from_traces

    if traces is not None:
        _nothing_runs(
            {"--limit": limit, "--gen_kwargs": gen_kwargs, "--include_path": include_path}
        )
        rows = calibrate_from_traces(out, traces)
    else:
        from lm_eval.tasks import TaskManager

        from l2_harness.paths import tasks_dir

        paths = [str(path) for path in (tasks_dir(), include_path) if path is not None]
        rows = calibrate(
            out,
            arguments_of("--model-args", model_args),
            words_of(tasks),
            limit=limit,
            batch_size=batch_size_of(batch_size),
            device=device,
            gen_kwargs=gen_kwargs or None,
            apply_chat_template=apply_chat_template,
            task_manager=TaskManager(include_path=paths),
        )
    layers = ", ".join(f"{layer} ({count} rows)" for layer, count in rows.items())
    print(f"{out}: layers {layers}. Use it with threshold=calibrated,calibration={out}")


def _nothing_runs(given: dict[str, object]) -> None:
    from l2_harness.config.errors import ConfigError

    for name, value in given.items():
        if value not in (None, ""):
            raise ConfigError(f"{name} has no say in recorded traces: leave it or --traces out.")
