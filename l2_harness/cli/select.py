"""``l2-harness select``: every selector on the same recorded samples, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2_harness.cli.command_line import command_line
from l2_harness.cli.each_task import each_task
from l2_harness.cli.lm_eval_options import arguments_of
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.recorded_options import (
    Filter,
    IncludePath,
    Metadata,
    Metric,
    RecordedLayers,
    Resamples,
    RunId,
    parse_layers,
    seed_option,
)

if TYPE_CHECKING:
    from l2_harness.analysis.selectors.samples import SampleTable
    from l2_harness.config.selectors import Selector

#: Which response every selector chose.
CHOICES = "choices.csv"


def command(
    trace_dir: Annotated[
        Path | None, typer.Argument(help="Trace folder of a run with num_samples or repeats.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="lm-eval's sample file of that run, or its folder.")
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(help="Samples made elsewhere, a JSON object a line; see above."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task, where there are several.")] = None,
    out: Annotated[Path, folder_option("Folder for the section.")] = Path("l2_selection"),
    on: Annotated[str, typer.Option(help="Rows that count: all, thinking or answer.")] = "all",
    layers: RecordedLayers = None,
    window: Annotated[int, typer.Option(min=1, help="Tokens of a DeepConf group.")] = 2048,
    temperature: Annotated[float, typer.Option(min=1e-6, help="Of CISC's softmax.")] = 1.0,
    answers: Annotated[
        str, typer.Option(help="How votes compare: auto, math, letter, word or text.")
    ] = "auto",
    run_id: RunId = None,
    include_path: IncludePath = None,
    metadata: Metadata = "",
    filter: Filter = None,
    metric: Metric = None,
    resamples: Resamples = 2000,
    subsets: Annotated[int, typer.Option(min=1, help="Of the votes' curves.")] = 200,
    seed: Annotated[int, seed_option("Of everything that is drawn.")] = 0,
) -> None:
    """Compare all selectors on recorded samples: accuracy, differences, curves, signs.

    --jsonl takes a JSON object a line, one for each response, a problem's in order:

    problem and correct (true, false, or 0 to 1): required

    response, or answer: what votes go by

    scores: an object of name: number, of which the largest is best

    n_tokens: its length; finish_reason: "length" where it was cut off
    """
    from l2_harness.config.errors import ConfigError
    from l2_harness.config.selectors import SELECTORS

    drawn = {"resamples": resamples, "subsets": subsets, "seed": seed}
    if jsonl is not None:
        from l2_harness.analysis.selectors.from_jsonl import load_jsonl, own_selectors

        table = load_jsonl(jsonl, answers)
        _show(table, own_selectors(table), jsonl.name, out, drawn, {"jsonl": jsonl.name})
        return
    if trace_dir is None or samples is None:
        raise ConfigError("pass TRACE_DIR with --samples RESULTS, or --jsonl FILE.")
    options: dict[str, Any] = {
        **{"run_id": run_id, "part": _part(on), "window": window, "answers": _answers(answers)},
        **{"filter": filter, "metric": metric, "metadata": arguments_of("--metadata", metadata)},
        **{"include_path": tuple(include_path or ()), "layers": parse_layers(layers)},
        "temperature": temperature,
    }

    def select(name: str, samples: Path) -> None:
        table, seconds = _load(trace_dir, samples, name, options)
        settings = {"task": name, **options, "seconds": seconds}
        folder = out if task else out / name
        _show(table, list(SELECTORS.values()), name, folder, drawn, settings)

    each_task(((name, samples) for name in _tasks(trace_dir, samples, run_id, task)), select)


def _load(
    trace_dir: Path, samples: Path, task: str, options: dict[str, Any]
) -> tuple[Any, dict[str, float]]:
    from l2_harness.analysis.selectors.from_traces import TraceSource, load_samples

    loaded = load_samples(TraceSource(trace_dir, samples, task, **options))
    return loaded.table, {name: round(value, 2) for name, value in loaded.seconds.items()}


def _show(
    table: SampleTable,
    selectors: list[Selector],
    title: str,
    out: Path,
    drawn: dict[str, int],
    settings: dict[str, Any],
) -> None:
    """Compare, write the section and what every selector chose, and print what was found."""
    from l2_harness.analysis.selectors.choices import choices
    from l2_harness.analysis.selectors.comparison import compare
    from l2_harness.analysis.selectors.selection_section import selection_section
    from l2_harness.findings.csv_files import write_csv
    from l2_harness.findings.section import write_section
    from l2_harness.findings.terminal import show

    comparison = compare(table, selectors, **drawn)
    section = selection_section(comparison, title, {**settings, **drawn}, command_line())
    write_section(section, out)
    write_csv(choices(table, selectors), out / CHOICES)
    show([section], out, [CHOICES])


def _tasks(trace_dir: Path, samples: Path, run_id: str | None, task: str | None) -> list[str]:
    """The tasks that have generated responses here and a sample file there."""
    from l2_harness.lm_eval_files.samples import logged_tasks
    from l2_harness.norms import read_traces

    if task is not None:
        return [task]
    keys = read_traces(trace_dir, run_id=run_id, columns=["task", "request_type"])
    generated = sorted(set(keys[keys["request_type"] == "generate_until"]["task"]))
    return logged_tasks(samples, generated)


def _part(value: str) -> str:
    from l2_harness.config.options import choice
    from l2_harness.config.selection import PARTS

    return str(choice(*PARTS)("--on", value))


def _answers(value: str) -> str:
    from l2_harness.answers import ANSWER_KINDS
    from l2_harness.config.options import choice

    return str(choice("auto", *ANSWER_KINDS)("--answers", value))
