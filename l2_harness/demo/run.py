"""The demo: lm-eval on the packaged model with and without recording, and what the norms show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness import __version__
from l2_harness.config.errors import ConfigError
from l2_harness.demo.findings import CONTROLS, Findings, find, tidy_responses
from l2_harness.demo.report import (
    print_accuracy,
    print_correlations,
    print_equality,
    print_profile,
    print_verdict,
)
from l2_harness.demo.verdict import size_of, verdict
from l2_harness.lm_eval_files.quiet_run import ARMS, Evaluation, equal_responses, evaluate, quiet
from l2_harness.paths import DEMO_MODEL, demo_model_path

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

STEPS = 4
_COLUMNS = [
    *("task", "request_type", "doc_id", "idx", "repeat", "prompt_hash"),
    *("tokens", "finish_reason", "layers", "norm_mean"),
]


@dataclass(frozen=True)
class DemoOptions:
    """What the command takes.

    Attributes:
        out: folder for everything that is written.
        limit: the first so many problems of each task; they are in random order.
        seed: of the bootstrap; the responses are greedy.
        pretrained: ``demo``, or a model folder or hub name to use in place of the packaged model.
        resamples: of the bootstrap.
    """

    out: Path
    limit: int
    seed: int = 0
    pretrained: str = DEMO_MODEL
    resamples: int = 2000


def run_demo(options: DemoOptions, console: Console) -> dict[str, Any]:
    """Run all of it, print it, and write it to ``options.out``.

    Returns:
        What ``summary.json`` holds.

    Raises:
        ConfigError: the package has no model, or the output folder can't be made.
    """
    pretrained = _resolve(options.pretrained)
    _make_folder(options.out)
    device = _device(options.pretrained)
    console.print(
        f"[bold]l2-harness demo[/bold]: model {options.pretrained}, tasks {' and '.join(ARMS)}, "
        f"the first {options.limit} problems of each, on {device}",
        highlight=False,
        soft_wrap=True,
    )
    stock, recorded = _evaluate_both(options, pretrained, device, console)
    console.print(f"[3/{STEPS}] comparing the two runs")
    equal = equal_responses(stock, recorded)
    console.print(f"[4/{STEPS}] statistics of the recorded norms")
    responses, layers = _responses(recorded, options.out / "traces")
    findings = find(responses, layers, resamples=options.resamples, seed=options.seed)
    parameters = recorded.config.get("model_num_parameters")
    words = verdict(findings, parameters)

    print_accuracy([stock, recorded], console)
    print_equality(equal, console)
    print_profile(findings, console)
    print_correlations(findings, console)
    print_verdict(words, console)

    title = options.pretrained if parameters is None else f"{size_of(parameters)}-parameter model"
    files = [*_write_tables(responses, findings, options.out), *_plot(findings, title, options.out)]
    summary = _summary(options, device, [stock, recorded], equal, findings, words, parameters)
    path = options.out / "summary.json"
    path.write_text(json.dumps(_finite(summary), indent=2) + "\n", encoding="utf-8")
    names = ", ".join(file.name for file in [path, *files])
    console.print(
        f"\nIn [bold]{options.out}[/bold]: {names}; lm-eval's results and samples in lm_eval/; "
        "the norms of every token in traces/.",
        highlight=False,
        soft_wrap=True,
    )
    return summary


def _evaluate_both(
    options: DemoOptions, pretrained: str, device: str, console: Console
) -> tuple[Evaluation, Evaluation]:
    common = {"pretrained": pretrained, "dtype": "float32"}
    recording = {"record": "tokens", "layers": "all", "trace_dir": str(options.out / "traces")}
    runs = []
    for step, (model_class, own) in enumerate([("hf", {}), ("l2hf", recording)], start=1):
        again = "trace_dir" in own and any((options.out / "traces").glob("*"))
        note = " (responses that traces/ holds already are not computed again)" if again else ""
        console.print(f"[{step}/{STEPS}] lm-eval with --model {model_class}{note}")
        with quiet():
            runs.append(
                evaluate(
                    model_class,
                    {**common, **own},
                    options.out / "lm_eval" / model_class,
                    limit=options.limit,
                    device=device,
                )
            )
    return runs[0], runs[1]


def _responses(recorded: Evaluation, trace_dir: Path) -> tuple[pd.DataFrame, list[int]]:
    """A row a response of this run, and the recorded layers."""
    import pandas as pd

    from l2_harness.lm_eval_files import join_samples
    from l2_harness.norms import read_traces

    frames = []
    layers: list[int] = []
    for task, arm in ARMS.items():
        documents = recorded.documents(task)
        traces = read_traces(
            trace_dir, run_id=recorded.config["l2"]["run_id"], columns=_COLUMNS, task=task
        )
        # An earlier run into this folder may have had a larger --limit.
        traces = traces[traces["doc_id"].isin(documents.keys())].reset_index(drop=True)
        joined = join_samples(traces, recorded.sample_files[task])
        frames.append(tidy_responses(joined, documents, {task: arm}))
        layers = [int(layer) for layer in traces["layers"].iloc[0]]
    return pd.concat(frames, ignore_index=True), layers


def _write_tables(responses: pd.DataFrame, findings: Findings, out: Path) -> list[Path]:
    """Every table that was printed, and the responses it is of, as CSV."""
    import pandas as pd

    norms = pd.DataFrame(
        list(responses["norm_mean"]), columns=[f"norm_{layer}" for layer in findings.layers]
    )
    tables = {
        "responses": pd.concat([responses.drop(columns="norm_mean"), norms], axis=1),
        "profile": findings.profile,
        "correlation_by_layer": findings.by_layer,
        "correlations": pd.DataFrame(_correlation_rows(findings)),
    }
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False)
    return [out / f"{name}.csv" for name in tables]


def _plot(findings: Findings, title: str, out: Path) -> list[Path]:
    from l2_harness.findings.plots import plot_correlations, plot_profile

    late = next(iter(findings.late.values()))
    return [
        plot_profile(
            findings.profile,
            out / "profile.png",
            f"{title}: mean norm per layer, thinking and direct ({findings.pairs} prompts)",
        ),
        plot_correlations(
            findings.by_layer,
            out / "correlation_by_layer.png",
            f"{title}: norm and correctness ({findings.thinking} responses)",
            late,
        ),
    ]


def _summary(
    options: DemoOptions,
    device: str,
    runs: list[Evaluation],
    equal: Mapping[str, tuple[int, int]],
    findings: Findings,
    words: list[str],
    parameters: int | None,
) -> dict[str, Any]:
    return {
        "l2_harness": __version__,
        "model": options.pretrained,
        "parameters": parameters,
        "device": device,
        "limit": options.limit,
        "seed": options.seed,
        "resamples": options.resamples,
        "seconds": {run.model_class: round(run.seconds, 2) for run in runs},
        "accuracy": {
            run.model_class: {
                task: dict(zip(("value", "low", "high"), run.accuracy(task), strict=True))
                for task in ARMS
            }
            for run in runs
        },
        "responses_equal": all(same == total for same, total in equal.values()),
        "equal_responses": {task: list(counts) for task, counts in equal.items()},
        "layers": list(findings.layers),
        "late_layers": {name: list(layers) for name, layers in findings.late.items()},
        "profile": findings.profile.to_dict(orient="records"),
        "thinking_responses": findings.thinking,
        "thinking_responses_truncated": findings.truncated,
        "correlations": _correlation_rows(findings),
        "verdict": words,
    }


def _correlation_rows(findings: Findings) -> list[dict[str, Any]]:
    return [
        {"layers": name, "controlled_for": control, **vars(findings.correlations[name, control])}
        for name in findings.late
        for control in CONTROLS
    ]


def _finite(value: Any) -> Any:
    """The same with None for nan, which JSON doesn't have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _resolve(pretrained: str) -> str:
    if pretrained != DEMO_MODEL:
        return pretrained
    if not (demo_model_path() / "config.json").is_file():
        raise ConfigError(
            f"This installation holds no model at {demo_model_path()}. Install l2-harness again, "
            "or pass --pretrained with a model folder."
        )
    return str(demo_model_path())


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out} can't be made: {error.strerror}.") from error


def _device(pretrained: str) -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if pretrained == DEMO_MODEL:
        # Its matrices are too small to gain from threads, and threads that wait for one another
        # slow it down a hundredfold where another job keeps the cores busy.
        torch.set_num_threads(1)
    return "cpu"
