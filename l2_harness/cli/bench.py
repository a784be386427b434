"""``l2-harness bench``: what this project costs, measured on this machine."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from l2_harness.bench.coverage_cell import Coverage
    from l2_harness.bench.decode import DecodeCost
    from l2_harness.bench.selection import SelectionCost
    from l2_harness.bench.vllm import VllmCost
    from l2_harness.registration.startup_cost import StartupCost

app = typer.Typer(help="Measure what this project costs.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure what this project costs."""


@app.command()
def startup(
    rounds: Annotated[
        int, typer.Option(min=2, help="Interpreter starts of each kind, in alternation.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")] = False,
) -> None:
    """Measure what the import hook adds to a bare `python -c pass`, in milliseconds."""
    from l2_harness.registration.startup_cost import measure_startup

    cost = measure_startup(rounds)
    if as_json:
        print(json.dumps(cost.as_dict(), indent=2))
    else:
        _print_table(cost)


def _print_table(cost: StartupCost) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"python -c pass, {cost.rounds} starts of each kind (Python {cost.python})")
    table.add_column("environment")
    for column in ("median ms", "quartiles ms", "added ms", "95 % interval"):
        table.add_column(column, justify="right")
    for row in cost.rows():
        added = ("", "") if row.added is None else (f"{row.added:+.2f}", row.added_interval())
        spread = f"{row.lower_quartile:.2f} to {row.upper_quartile:.2f}"
        table.add_row(row.environment, f"{row.median:.2f}", spread, *added)
    Console().print(table)


class Work(str, Enum):
    """What ``bench decode`` can measure."""

    greedy = "greedy"
    samples = "samples"


@app.command()
def decode(
    work: Annotated[
        list[Work] | None, typer.Option(help="What to measure; all by default.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Runs of each kind, in alternation.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Responses side by side.")] = 32,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Problems of the demo task; all by default.")
    ] = None,
    shape: Annotated[
        str, typer.Option(help="The random model of `samples`: qwen3-30m or qwen3-0.6b.")
    ] = "qwen3-30m",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")] = False,
) -> None:
    """Measure the decode loop against lm-eval's `hf`, against itself and bare forward passes.

    `greedy` decodes the demo task with the embedded model; `samples` 8 responses to prompts of
    512 tokens with a random model. Both sides run in one process, in alternation.
    """
    from l2_harness.bench.decode import measure_decoding
    from l2_harness.bench.workloads import SHAPES
    from l2_harness.config.errors import unknown_value

    if shape not in SHAPES:
        raise unknown_value("--shape", shape, SHAPES)
    works = [w.value for w in work or list(Work)]
    costs = []
    for cost in measure_decoding(
        works, rounds, limit, batch_size, shape, lambda text: print(text, file=sys.stderr)
    ):
        costs.append(cost.as_dict())
        if not as_json:
            _print_decoding(cost)
    if as_json:
        print(json.dumps(costs, indent=2))


def _print_decoding(cost: DecodeCost) -> None:
    from rich.console import Console
    from rich.table import Table

    settings = ", ".join(f"{name}={value}" for name, value in cost.settings.items())
    table = Table(title=f"{cost.work}: {settings}")
    table.add_column("way")
    for column in ("median s", "quartiles s", "tokens", "peak MB"):
        table.add_column(column, justify="right")
    for way, times in cost.times.items():
        low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
        peak = cost.peak_bytes.get(way)
        table.add_row(
            way,
            f"{middle:.2f}",
            f"{low:.2f} to {high:.2f}",
            str(cost.tokens[way]),
            f"{peak / 1e6:.0f}" if peak is not None else "",
        )
    console = Console()
    console.print(table)
    for row in cost.compared():
        r = row.ratio
        met = "" if row.goal is None else f"; goal {row.goal:.2f}"
        print(f"{row.way} / {row.rival}: {r.median:.3f} ({r.low:.3f} to {r.high:.3f}){met}")
    if cost.equal is not None:
        print(f"responses equal to hf's: {cost.equal[0]} of {cost.equal[1]}")
    whole = sum(cost.parts.values())
    for name, seconds in sorted(cost.parts.items(), key=lambda item: -item[1]):
        print(f"  {seconds / whole:6.1%}  {name}")


@app.command()
def interventions(
    rounds: Annotated[int, typer.Option(min=2, help="Runs of each kind, in alternation.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Responses side by side.")] = 32,
    limit: Annotated[int, typer.Option(min=1, help="Problems of the demo task.")] = 96,
    cpu_time: Annotated[
        bool, typer.Option(help="Count the process's CPU time, for a machine with other work.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")] = False,
) -> None:
    """Measure what recursion, steering, suppression and thresholds add to plain decoding."""
    from l2_harness.bench.interventions import measure_interventions

    cost = measure_interventions(
        rounds, limit, batch_size, lambda text: print(text, file=sys.stderr), cpu_time
    )
    if as_json:
        print(json.dumps(cost.as_dict(), indent=2))
        return
    print(", ".join(f"{name}={value}" for name, value in cost.settings.items()))
    for row in cost.rows:
        r = row.ratio
        print(
            f"{row.way:20s} {r.median:.3f} ({r.low:.3f} to {r.high:.3f}) of plain; goal "
            f"{row.goal:.3f}; layer calls again {row.again:.1%}; responses equal {row.equal}"
        )


@app.command()
def strict(
    rounds: Annotated[int, typer.Option(min=2, help="Runs of each kind, in alternation.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Responses side by side.")] = 32,
    limit: Annotated[int, typer.Option(min=1, help="Problems of the demo task.")] = 96,
    device: Annotated[str, typer.Option(help="As for lm_eval.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")] = False,
) -> None:
    """Measure what `compare --strict` costs, beside float32 and bfloat16 alone."""
    from l2_harness.bench.strict import measure_strict

    cost = measure_strict(
        rounds, limit, batch_size, device, lambda text: print(text, file=sys.stderr)
    )
    if as_json:
        print(json.dumps(cost.as_dict(), indent=2))
        return
    for row in cost.rows:
        r = row.ratio
        print(
            f"{row.way} / {row.over}: {r.median:.3f} ({r.low:.3f} to {r.high:.3f}); "
            f"{row.again:.1%} of responses the same each time"
        )


@app.command()
def vllm(
    arm: Annotated[list[str] | None, typer.Option(help="What to measure; all by default.")] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Runs of each way, in alternation.")] = 10,
    limit: Annotated[int, typer.Option(min=1, help="Problems of the demo task.")] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Responses side by side.")] = 64,
    pretrained: Annotated[str, typer.Option(help="`demo`, or a model's folder.")] = "demo",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a response.")] = 320,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Random models in place of it, on a GPU: qwen3-0.6b, -4b, -8b."),
    ] = None,
    eager: Annotated[bool, typer.Option("--eager", help="Compile nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all times in it.")] = False,
) -> None:
    """Measure `l2vllm` against lm-eval's `vllm`, and against `l2hf`.

    Engines run in this process, in alternation. Arms: record, record-all, recursion, steering,
    suppression. On a GPU random models of Qwen3's shapes follow, at batch sizes 1, 64 and 256.
    """
    from l2_harness.cli.engine_choice import prepare_vllm
    from l2_harness.config.errors import unknown_value

    prepare_vllm(one_process=True)
    import torch

    from l2_harness.bench.vllm import ARMS, SHAPES, measure_shapes, measure_vllm
    from l2_harness.bench.workloads import greedy_demo
    from l2_harness.engines.hf.loading import resolve_pretrained

    for option, names, known in (("--arm", arm, ARMS), ("--shape", shape, SHAPES)):
        for name in names or ():
            if name not in known:
                raise unknown_value(option, name, known)
    arms = arm or list(ARMS)

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    measured: list[Iterator[VllmCost]] = []
    if not shape:
        model = Path(resolve_pretrained(pretrained))
        work = greedy_demo(limit, batch_size, model, max_new_tokens)
        measured.append(measure_vllm(work, arms, rounds, eager, say))
    if torch.cuda.is_available():
        measured.append(measure_shapes(shape or SHAPES, arms, rounds, say))
    else:
        say(f"{', '.join(shape or SHAPES)}: waiting for a GPU; there is none here.")
    costs = []
    for cost in chain.from_iterable(measured):
        costs.append(cost.as_dict())
        if not as_json:
            _print_vllm(cost)
    if as_json:
        print(json.dumps(costs, indent=2))


def _print_vllm(cost: VllmCost) -> None:
    print(", ".join(f"{name}={value}" for name, value in cost.settings.items()), flush=True)
    for row in cost.rows:
        goal = "" if row.goal is None else f"; goal {row.goal:.3f}"
        times = (f"{r.median:.3f} ({r.low:.3f} to {r.high:.3f})" for r in (row.wall, row.cpu))
        print(
            f"{row.way} / {row.rival}: wall {next(times)}, CPU {next(times)}{goal}; layer passes "
            f"again {row.again:.1%}; responses equal {row.equal}"
        )


@app.command()
def selection(
    questions: Annotated[int, typer.Option(min=1)] = 10_000,
    samples: Annotated[int, typer.Option(min=1, help="Responses a question.")] = 16,
    rows: Annotated[int, typer.Option(min=1, help="Tokens a response.")] = 300,
    layers: Annotated[int, typer.Option(min=1, help="Monitored layers.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure reading made-up trace files, all scores, and every selector's choice.

    Chain-of-Embedding, which is computed while responses are sampled, is not part of it.
    """
    from l2_harness.bench.selection import SelectionWork, measure_selection

    work = SelectionWork(questions, samples, rows, layers)
    cost = measure_selection(work, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(cost.as_dict(), indent=2))
    else:
        _print_selection(cost)


def _print_selection(cost: SelectionCost) -> None:
    work = cost.work
    print(
        f"{work.questions} questions × {work.samples} samples × {work.rows} rows × "
        f"{work.layers} layers, {cost.file_bytes / 1e9:.2f} GB of trace files"
    )
    for name, seconds in cost.seconds.items():
        print(f"{seconds:8.1f} s  {name}")
    print(f"{cost.total:8.1f} s  in all, without comparing answers ({cost.selectors} selectors)")
    print(f"{cost.peak_bytes / 2**30:8.2f} GiB at the peak")


@app.command()
def analyze(
    questions: Annotated[int, typer.Option(min=4)] = 1000,
    samples: Annotated[int, typer.Option(min=1, help="Responses a question.")] = 8,
    rows: Annotated[int, typer.Option(min=1, help="Tokens a response, on average.")] = 104,
    layers: Annotated[int, typer.Option(min=1, help="Monitored layers.")] = 12,
    resamples: Annotated[int, typer.Option(min=20, help="Of the bootstrap.")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure `l2-harness analyze` on made-up trace files of ten million norms."""
    from l2_harness.bench.analyze import AnalysisWork, measure_analysis

    work = AnalysisWork(questions, samples, rows, layers, resamples)
    cost = measure_analysis(work, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(cost.as_dict(), indent=2))
        return
    print(
        f"{work.questions} questions × {work.samples} samples at {work.layers} layers, "
        f"{cost.points / 1e6:.1f} M norms, {cost.figures} associations with {work.resamples} "
        "resamples"
    )
    for name, seconds in cost.seconds.items():
        print(f"{seconds:8.1f} s  {name}")
    print(f"{cost.total:8.1f} s  in all; {cost.cpu_seconds:.1f} s of CPU time")
    print(f"{cost.peak_bytes / 2**30:8.2f} GiB at the peak")


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how often intervals cover the truth, and tests reject where there is nothing."""
    from l2_harness.bench.coverage import QUESTIONS, measure_coverage
    from l2_harness.bench.verdicts import verdict_cells
    from l2_harness.findings.section import plain

    runs = max(runs // 10, 20) if quick else runs
    cells = []
    measured = measure_coverage(runs, max(runs // 4, 10), QUESTIONS[: 2 if quick else None])
    for cell in verdict_cells(max(runs // 2, 10)) if verdicts else measured:
        cells.append(cell.as_dict())
        if not as_json:
            _print_coverage(cell)
    if as_json:
        print(json.dumps(plain(cells), indent=2, allow_nan=False))
        return
    met = sum(bool(cell["meets"]) for cell in cells)
    print(
        f"Goal met by {met} of {len(cells)}: coverage from .93, type I up to .06, both within two"
    )
    print("Monte-Carlo errors. Single answers to few questions may be covered more often than .97.")


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
