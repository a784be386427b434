"""``l2-harness calibrate``: the file that ``threshold=calibrated`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AS_FOR_LM_EVAL = "As for lm_eval."


def command(
    out: Annotated[Path, typer.Option(help="The calibration file to write (JSON).")],
    tasks: Annotated[str, typer.Option(help="lm-eval tasks, joined by commas.")] = "l2_demo",
    model_args: Annotated[
        str,
        typer.Option(
            "--model_args", "--model-args", help="Of l2hf; layers= says which layers it holds."
        ),
    ] = "pretrained=demo",
    traces: Annotated[
        Path | None, typer.Option(help="Take recorded traces instead of running anything.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Documents a task.")] = None,
    batch_size: Annotated[
        str, typer.Option("--batch_size", "--batch-size", help=AS_FOR_LM_EVAL)
    ] = "16",
    device: Annotated[str | None, typer.Option(help=AS_FOR_LM_EVAL)] = None,
    include_path: Annotated[
        Path | None, typer.Option("--include_path", "--include-path", help="More task files.")
    ] = None,
    gen_kwargs: Annotated[
        str | None, typer.Option("--gen_kwargs", "--gen-kwargs", help=AS_FOR_LM_EVAL)
    ] = None,
    apply_chat_template: Annotated[
        bool,
        typer.Option("--apply_chat_template/--no_chat_template", help=AS_FOR_LM_EVAL),
    ] = True,
) -> None:
    """Write each layer's count, mean and percentiles of norms, from tasks or from traces."""
    from l2_harness.models.calibrate import calibrate, calibrate_from_traces

    if traces is not None:
        rows = calibrate_from_traces(out, traces)
    else:
        from lm_eval.tasks import TaskManager
        from lm_eval.utils import simple_parse_args_string

        from l2_harness.paths import tasks_dir

        paths = [str(path) for path in (tasks_dir(), include_path) if path is not None]
        rows = calibrate(
            out,
            simple_parse_args_string(model_args),
            tasks.split(","),
            limit=limit,
            batch_size=batch_size,
            device=device,
            gen_kwargs=gen_kwargs,
            apply_chat_template=apply_chat_template,
            task_manager=TaskManager(include_path=paths),
        )
    layers = ", ".join(f"{layer} ({count} rows)" for layer, count in rows.items())
    print(f"{out}: layers {layers}. Use it with threshold=calibrated,calibration={out}")
