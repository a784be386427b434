"""``l2-harness capture``: the hidden states of recorded responses, by teacher forcing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2_harness.cli.lm_eval_options import Device
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.recorded_options import RunId, seed_option
from l2_harness.paths import no_network_for

if TYPE_CHECKING:
    from l2_harness.analysis.states.run_model import RunModel
    from l2_harness.analysis.states.wanted import Wanted


def command(
    trace_dir: Annotated[Path, typer.Argument(help="Trace folder of the run.")],
    samples: Annotated[
        Path, typer.Option(help="lm-eval's sample files of that run: they hold the prompts.")
    ],
    out: Annotated[Path, folder_option("Folder for the states; gone on with if it is there.")],
    pretrained: Annotated[
        str | None, typer.Option(help="The run's model, under another name or in another folder.")
    ] = None,
    layers: Annotated[str, typer.Option(help="all, late, or a list such as 20-26+30.")] = "all",
    task: Annotated[list[str] | None, typer.Option(help="Only these tasks.")] = None,
    responses: Annotated[
        int | None, typer.Option(min=1, help="Of each task at most so many, of the same questions.")
    ] = None,
    split: Annotated[str, typer.Option(help="all, or half of the questions.")] = "all",
    seed: Annotated[int, seed_option("Of the questions' order.")] = 0,
    dtype: Annotated[
        str, typer.Option(help="Of the states on disk: float32, float16 or bfloat16.")
    ] = "float32",
    model_dtype: Annotated[
        str | None, typer.Option(help="Of the model, in place of the run's.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Responses of one pass.")] = 16,
    batch_tokens: Annotated[
        int, typer.Option(min=1, help="Positions of one pass, padding included.")
    ] = 8192,
    entropies: Annotated[
        bool,
        typer.Option(
            "--entropies",
            help="Keep each layer's logit-lens and attention entropy too, for sae correlate: "
            "slower, and attention weights are held.",
        ),
    ] = False,
    outlier_dims: Annotated[
        int, typer.Option(min=0, help="Largest components that the second norms leave out.")
    ] = 1,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0, help="Relative, of norms against the recorded ones; bfloat16 needs about 0.02."
        ),
    ] = 1e-4,
    device: Device = None,
    run_id: RunId = None,
) -> None:
    """Run recorded responses through their model once and keep the states of its layers."""
    import time

    from l2_harness.analysis.states.wanted import wanted_responses
    from l2_harness.config.errors import ConfigError
    from l2_harness.config.options import choice

    choice("all", "half")("--split", split)
    started = time.perf_counter()
    try:
        wanted = wanted_responses(
            trace_dir,
            samples,
            run_id=run_id,
            tasks=task or (),
            responses=responses,
            split=split,
            seed=seed,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    model = _model(trace_dir, wanted[0].key[0], pretrained, model_dtype, device)
    settings = _capture(
        wanted,
        model,
        out,
        layers,
        dtype=dtype,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        tolerance=tolerance,
        outlier_dims=outlier_dims,
        entropies=entropies,
    )
    print(
        f"{out}: {settings['responses']} responses, {settings['rows']} rows, layers "
        f"{'+'.join(map(str, settings['layers']))}, {settings['dtype']}. Norms are the recorded "
        f"ones to {settings['max_norm_deviation']:.1e} (relative), entropies to "
        f"{settings['max_entropy_deviation']:.1e} nats. {time.perf_counter() - started:.0f} s."
    )


def _model(
    trace_dir: Path,
    run_id: str,
    pretrained: str | None,
    model_dtype: str | None,
    device: str | None,
) -> RunModel:
    from l2_harness.norms import read_run_settings

    settings = read_run_settings(trace_dir, run_id)
    name = pretrained or str(settings.get("pretrained"))
    no_network_for(name)
    from l2_harness.analysis.states.run_model import load_run_model

    return load_run_model(
        settings, run_id, pretrained=pretrained, model_dtype=model_dtype, device=device
    )


def _capture(
    wanted: list[Wanted], model: RunModel, out: Path, layers: str, **options: Any
) -> dict[str, Any]:
    from tqdm import tqdm

    from l2_harness.analysis.states.capture import CaptureOptions, capture
    from l2_harness.config.layers import LayerSelection

    chosen = LayerSelection.parse(layers).resolve(len(model.decoder_layers))
    with tqdm(total=len(wanted), desc="Capturing", unit=" responses") as bar:
        return capture(wanted, model, out, CaptureOptions(layers=chosen, **options), bar.update)
