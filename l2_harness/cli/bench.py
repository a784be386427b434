"""``l2-harness bench``: what this project costs, measured on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from l2_harness.cli.outputs import folder_option

if TYPE_CHECKING:
    from l2_harness.bench.coverage_cell import Coverage
    from l2_harness.bench.figure import Figure

app = typer.Typer(help="Measure what this project costs.", no_args_is_help=True)

Rounds = Annotated[int, typer.Option(min=2, help="Runs of each way, in alternation.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Responses side by side.")]
CpuTime = Annotated[
    bool,
    typer.Option("--cpu-time", help="Count the process's CPU time, for a machine with other work."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")]


class Cost(Protocol):
    """What a benchmark gave."""

    @property
    def figures(self) -> list[Figure]:
        """Each beside its goal."""

    def as_dict(self) -> dict[str, Any]:
        """What was run, and all that was measured."""


@app.callback()
def bench() -> None:
    """Measure what this project costs."""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(costs: Iterable[Cost], as_json: bool) -> None:
    """Print figures as they come, or everything as JSON."""
    from l2_harness.bench.figure import plain_lines
    from l2_harness.bench.machine import machine

    shown: list[dict[str, Any]] = []
    figures: list[Figure] = []
    for cost in costs:
        shown.append(cost.as_dict())
        figures += cost.figures
        if not as_json:
            print(plain_lines(cost.figures), flush=True)
    if as_json:
        found = {
            "machine": machine(),
            "figures": [figure.as_dict() for figure in figures],
            "costs": shown,
        }
        print(json.dumps(found, indent=1))


@app.command()
def startup(
    rounds: Annotated[
        int, typer.Option(min=2, help="Interpreter starts of each kind, in alternation.")
    ] = 100,
    command_rounds: Annotated[int, typer.Option(min=1, help="Runs of each command.")] = 5,
    as_json: Json = False,
) -> None:
    """Measure the import hook against a bare `python -c pass`, `--help`, and lm_eval's start."""
    from l2_harness.bench.startup import measure_starts

    _show([measure_starts(rounds, command_rounds, _say)], as_json)


class Work(str, Enum):
    """What ``bench decode`` can measure."""

    greedy = "greedy"
    samples = "samples"


@app.command()
def decode(
    work: Annotated[
        list[Work] | None, typer.Option(help="What to measure; all by default.")
    ] = None,
    rounds: Rounds = 5,
    batch_size: BatchSize = 32,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Problems of the demo task; all by default.")
    ] = None,
    shape: Annotated[
        str, typer.Option(help="The random model of `samples`: qwen3-30m or qwen3-0.6b.")
    ] = "qwen3-30m",
    pretrained: Annotated[str, typer.Option(help="Of `greedy`: demo, or a folder.")] = "demo",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a `greedy` response.")] = 320,
    cpu_time: CpuTime = False,
    as_json: Json = False,
) -> None:
    """Measure the decode loop against `hf`, itself, bare passes, and continuous batching.

    `greedy` decodes the demo task with the embedded model; `samples` 8 responses to prompts of
    512 tokens with a random model. All ways run in one process, in alternation.
    """
    from l2_harness.bench.decode import DecodeWork, measure_decoding
    from l2_harness.bench.workloads import SHAPES
    from l2_harness.config.errors import unknown_value

    if shape not in SHAPES:
        raise unknown_value("--shape", shape, SHAPES)
    names = tuple(one.value for one in work or list(Work))
    works = DecodeWork(names, limit, batch_size, shape, pretrained, max_new_tokens)
    _show(measure_decoding(works, rounds, _say, cpu_time), as_json)


@app.command()
def interventions(
    rounds: Rounds = 5,
    batch_size: BatchSize = 32,
    limit: Annotated[int, typer.Option(min=1, help="Problems of the demo task.")] = 96,
    pretrained: Annotated[str, typer.Option(help="`demo`, or a model's folder.")] = "demo",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a response.")] = 320,
    cpu_time: CpuTime = False,
    as_json: Json = False,
) -> None:
    """Measure what recursion, steering, suppression and thresholds add to plain decoding."""
    from l2_harness.bench.interventions import measure_interventions

    cost = measure_interventions(
        rounds, limit, batch_size, _say, cpu_time, pretrained, max_new_tokens
    )
    _show([cost], as_json)


@app.command()
def strict(
    rounds: Rounds = 5,
    batch_size: BatchSize = 32,
    limit: Annotated[int, typer.Option(min=1, help="Problems of the demo task.")] = 96,
    device: Annotated[str, typer.Option(help="As for lm_eval.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Measure what `compare --strict` costs, beside float32 and bfloat16 alone."""
    from l2_harness.bench.strict import measure_strict

    _show([measure_strict(rounds, limit, batch_size, device, _say)], as_json)


@app.command()
def vllm(
    arm: Annotated[list[str] | None, typer.Option(help="What to measure; all by default.")] = None,
    rounds: Rounds = 10,
    limit: Annotated[int, typer.Option(min=1, help="Problems of the demo task.")] = 64,
    batch_size: BatchSize = 64,
    pretrained: Annotated[str, typer.Option(help="`demo`, or a model's folder.")] = "demo",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a response.")] = 320,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Random models in place of it, on a GPU: qwen3-0.6b, -4b, -8b."),
    ] = None,
    eager: Annotated[bool, typer.Option("--eager", help="Compile nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Measure `l2vllm` against lm-eval's `vllm`, and against `l2hf`.

    Engines run in this process, in alternation. Arms: record, record-all, recursion, steering,
    suppression. On a GPU random models of Qwen3's shapes follow, at batch sizes 1, 64 and 256.
    """
    from l2_harness.cli.engine_choice import prepare_vllm

    prepare_vllm(one_process=True)
    from l2_harness.bench.machine import gpu_awaited
    from l2_harness.bench.vllm import ARMS, SHAPES, measure_shapes, measure_vllm
    from l2_harness.bench.workloads import greedy_demo
    from l2_harness.engines.hf.loading import resolve_pretrained

    _check_names("--arm", arm, ARMS)
    _check_names("--shape", shape, SHAPES)
    arms = arm or list(ARMS)

    def measured() -> Iterator[Cost]:
        if not shape:
            model = Path(resolve_pretrained(pretrained))
            work = greedy_demo(limit, batch_size, model, max_new_tokens)
            yield from measure_vllm(work, arms, rounds, eager, _say)
        waits = gpu_awaited(shape or SHAPES)
        if waits is None:
            yield from measure_shapes(shape or SHAPES, arms, rounds, _say)
        else:
            _say(waits)

    _show(measured(), as_json)


@app.command()
def gpu(
    shape: Annotated[
        list[str] | None, typer.Option(help="qwen3-0.6b, -4b, -8b; all by default.")
    ] = None,
    batch_size: Annotated[
        list[int] | None, typer.Option(min=1, help="Responses side by side; 1, 8 and 64.")
    ] = None,
    rounds: Rounds = 5,
    as_json: Json = False,
) -> None:
    """Measure `hf`, and `l2hf` off, recording and acting, on random models in bfloat16.

    Prompt and response have 2,048 tokens together. Where vLLM is installed, `l2vllm` follows as
    in `bench vllm`. Without a GPU this says what waits for one.
    """
    from importlib.util import find_spec

    from l2_harness.bench.machine import gpu_awaited
    from l2_harness.cli.engine_choice import prepare_vllm

    has_vllm = find_spec("vllm") is not None
    if has_vllm:
        prepare_vllm(one_process=True)
    from l2_harness.bench.gpu import BATCHES, SHAPES, measure_gpu

    _check_names("--shape", shape, SHAPES)
    shapes = shape or list(SHAPES)

    def measured() -> Iterator[Cost]:
        waits = gpu_awaited(shapes)
        if waits is not None:
            _say(waits)
            return
        yield from measure_gpu(shapes, batch_size or BATCHES, rounds, _say)
        if has_vllm:
            from l2_harness.bench.vllm import ARMS, measure_shapes

            yield from measure_shapes(shapes, list(ARMS), rounds, _say)

    _show(measured(), as_json)


@app.command()
def commands(
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each command.")] = 3,
    questions: Annotated[int, typer.Option(min=4, help="Problems, 8 samples of each.")] = 16,
    layers: Annotated[int, typer.Option(min=12, help="Of the model, all monitored.")] = 30,
    as_json: Json = False,
) -> None:
    """Measure `analyze`, `select` and `report` on a small recorded run."""
    from l2_harness.bench.commands import measure_commands

    _show([measure_commands(rounds, questions, layers, _say)], as_json)


@app.command()
def sae(
    states: Annotated[Path, typer.Argument(help="Folder that l2-harness capture wrote.")],
    layer: Annotated[int | None, typer.Option(help="Of its layers; the last by default.")] = None,
    rounds: Rounds = 3,
    expansion: Annotated[int, typer.Option(min=1, help="Features to a component.")] = 1,
    k: Annotated[int, typer.Option(min=1, help="Active features.")] = 32,
    steps: Annotated[int, typer.Option(min=5, help="Training steps.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Rows of one step.")] = 512,
    as_json: Json = False,
) -> None:
    """Measure `sae train` beside sae-lens' own loop and the matrix products of its steps."""
    from l2_harness.analysis.sae.train_options import TrainOptions
    from l2_harness.bench.sae_training import measure_training
    from l2_harness.cli import sae_support

    store = sae_support.store(states)
    options = TrainOptions(expansion=expansion, k=k, steps=steps, batch=batch)
    chosen = store.layers[-1] if layer is None else layer
    _show([measure_training(store, chosen, options, rounds, _say)], as_json)


@app.command()
def selection(
    questions: Annotated[int, typer.Option(min=1)] = 10_000,
    samples: Annotated[int, typer.Option(min=1, help="Responses a question.")] = 16,
    rows: Annotated[int, typer.Option(min=1, help="Tokens a response.")] = 300,
    layers: Annotated[int, typer.Option(min=1, help="Monitored layers.")] = 8,
    as_json: Json = False,
) -> None:
    """Measure reading made-up trace files, all scores, and every selector's choice.

    Chain-of-Embedding, which is computed while responses are sampled, is not part of it; nor is
    comparing answers.
    """
    from l2_harness.bench.selection import SelectionWork, measure_selection

    _show([measure_selection(SelectionWork(questions, samples, rows, layers), _say)], as_json)


@app.command()
def analyze(
    questions: Annotated[int, typer.Option(min=4)] = 1000,
    samples: Annotated[int, typer.Option(min=1, help="Responses a question.")] = 8,
    rows: Annotated[int, typer.Option(min=1, help="Tokens a response, on average.")] = 104,
    layers: Annotated[int, typer.Option(min=1, help="Monitored layers.")] = 12,
    resamples: Annotated[int, typer.Option(min=20, help="Of the bootstrap.")] = 2000,
    as_json: Json = False,
) -> None:
    """Measure `l2-harness analyze` on made-up trace files of ten million norms."""
    from l2_harness.bench.analyze import AnalysisWork, measure_analysis

    work = AnalysisWork(questions, samples, rows, layers, resamples)
    _show([measure_analysis(work, _say)], as_json)


@app.command()
def growth(
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes only.")] = False,
    out: Annotated[
        Path | None,
        folder_option("Folder for tables and a plot; other axes' rows there are kept."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Which of the axes; all by default.")
    ] = None,
    up_to: Annotated[int | None, typer.Option(help="Leave larger sizes out.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how time and memory grow with length, layers, samples, requests, responses."""
    from l2_harness.bench.growth import AXES, measure_growth

    _check_names("--only", only, AXES)

    def measured() -> Iterator[Cost]:
        for cost in measure_growth(only or list(AXES), quick, _say, up_to):
            if out is not None:
                cost.write(out)
            yield cost

    _show(measured(), as_json)


@app.command("statistics")
def statistics_command(
    runs: Annotated[
        int, typer.Option(min=20, help="Made-up data sets of a kind; a quarter for associations.")
    ] = 2000,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the data sets, at 30 and 100 questions.")
    ] = False,
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="Only suites with their verdicts, half as many.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure how often intervals cover the truth, and tests reject where there is nothing."""
    from l2_harness.bench.coverage import QUESTIONS, CoverageCost, measure_coverage
    from l2_harness.bench.verdicts import verdict_cells

    runs = max(runs // 10, 20) if quick else runs
    measured = measure_coverage(runs, max(runs // 4, 10), QUESTIONS[: 2 if quick else None])
    cells = []
    for cell in verdict_cells(max(runs // 2, 10)) if verdicts else measured:
        cells.append(cell)
        if not as_json:
            _print_coverage(cell)
    _show([CoverageCost(cells)], as_json)


def _print_coverage(cell: Coverage) -> None:
    shares = {"coverage": cell.coverage, "type I": cell.type_one}
    texts = [
        "" if share != share else f"{name} {share:.3f} ± {cell.error(share):.3f}"
        for name, share in shares.items()
    ]
    name = f"{cell.figure}, {cell.data}"
    missed = "" if cell.meets else "  misses the goal"
    print(
        f"{name:58s} {cell.questions:4d}  {texts[0]:24s} {texts[1]:22s}{missed}".rstrip(),
        flush=True,
    )


@app.command("all")
def all_command(
    quick: Annotated[
        bool, typer.Option("--quick", help="Minutes in place of hours; less is measured.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Which benchmarks; all by default.")
    ] = None,
    out: Annotated[
        Path | None, folder_option("Folder for a JSON file each and README.md, a table.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="End with 1 where a goal is missed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run every benchmark but `sae`, which takes states, and set figures beside the goals.

    Each runs in a process of its own.
    """
    from l2_harness.bench.every import BENCHMARKS, run_benchmarks
    from l2_harness.bench.figure import missed, plain_lines

    _check_names("--only", only, BENCHMARKS)
    found = run_benchmarks(only or list(BENCHMARKS), quick, _say)
    if out is not None:
        found.write(out)
    print(json.dumps(found.as_dict(), indent=1) if as_json else plain_lines(found.figures))
    beyond = missed(found.figures)
    for figure in beyond:
        _say(f"missed: {figure.benchmark}, {figure.name}: {figure.text()}, goal {figure.goal:g}")
    if check and (beyond or found.failed):
        raise typer.Exit(1)


def _check_names(option: str, names: Iterable[str] | None, known: Iterable[str]) -> None:
    from l2_harness.config.errors import unknown_value

    for name in names or ():
        if name not in known:
            raise unknown_value(option, name, known)
