"""``l2-harness compare``: a suite of models, tasks and methods, run and set side by side."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from l2_harness.cli.command_line import command_line
from l2_harness.cli.compare_folders import (
    From,
    Metric,
    Narrowed,
    Only,
    PairBy,
    Plain,
    Seeds,
    Subtasks,
    Tasks,
    folder_outcomes,
)
from l2_harness.cli.engine_choice import Engine, engine_of
from l2_harness.cli.lm_eval_options import arguments_of, batch_size_of, words_of
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.recorded_options import seed_option
from l2_harness.cli.run_suite import run_suite

if TYPE_CHECKING:
    from rich.console import Console

    from l2_harness.compare.leaderboard import Options
    from l2_harness.compare.plan import Plan, PlannedCell
    from l2_harness.compare.shards import Shard
    from l2_harness.compare.suite import Overrides, Suite
    from l2_harness.lm_eval_files.outcomes import Outcome


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUITE]",
            help="A suite's file, or one of the package's; further folders of --from and --merge.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        folder_option("Folder for everything: compare_SUITE, or l2_leaderboard with --from."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the package's suites.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the cells, run none.")
    ] = False,
    only: Only = None,
    limit: Annotated[
        float | None, typer.Option(help="The first so many documents of each task.")
    ] = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    model_args: Annotated[
        str, typer.Option(help="Over every model's, as for lm_eval: pretrained=…,dtype=….")
    ] = "",
    batch_size: Annotated[str | None, typer.Option(help="In place of the suite's.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, …")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="float32, deterministic: a rerun gives the same.")
    ] = False,
    engine: Engine = None,
    shard: Annotated[
        str | None,
        typer.Option(help="i/n: run the i-th of n shares of the cells, and write no leaderboard."),
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(help="Run nothing: the leaderboard of what shards left in these folders."),
    ] = None,
    from_: From = None,
    plain: Plain = None,
    metric: Metric = None,
    pair_by: PairBy = "document",
    subtasks: Subtasks = False,
    detect: Annotated[
        float, typer.Option(min=0.01, help="The difference that matters, in points.")
    ] = 2.0,
    seed: Annotated[int, seed_option("Of random signs.")] = 0,
) -> None:
    """Run a suite of models, tasks and methods, and write its leaderboard.

    Run again, it goes on where it was. Ends with status 1 if a cell failed.
    """
    from l2_harness.compare.leaderboard import Options
    from l2_harness.compare.merging import merged_outcomes
    from l2_harness.compare.registered import looked
    from l2_harness.compare.shards import Shard
    from l2_harness.findings.terminal import console as standard_output

    console = standard_output(width=200)
    options = Options(detect=detect, seed=seed)
    if list_:
        _list(console)
        return
    runs_only: dict[str, Any] = {
        "--limit": limit,
        "--model-args": model_args,
        "--batch-size": batch_size,
        "--engine": engine,
        "--device": device,
        "--strict": strict,
        "--dry-run": dry_run,
        "--shard": shard,
        "--merge": merge,
    }
    from_only = {"--plain": plain, "--metric": metric, "--subtasks": subtasks}
    from_only |= {"--pair-by": pair_by if pair_by != "document" else None}
    if from_:
        _refuse(runs_only, "runs something, and --from runs nothing")
        narrowed = Narrowed(words_of(tasks), _seeds(seeds), tuple(only or ()))
        outcomes, notes = folder_outcomes(
            [*from_, *(words or [])], narrowed, metric, plain, pair_by, subtasks
        )
        _leaderboard(outcomes, out or Path("l2_leaderboard"), options, console, notes=notes)
        return
    _refuse(from_only, "is for --from, with folders of results")
    overrides = _overrides(limit, tasks, seeds, model_args, batch_size, device, strict, engine)
    suite = overrides.applied(_suite(words[:1] if words and merge else words))
    folder = out or Path(f"compare_{suite.name}")
    share = Shard() if shard is None else Shard.read(shard)
    if dry_run and not merge:
        _dry_run(suite, folder, only or [], share, console)
        return

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    if merge:
        _refuse({"--dry-run": dry_run, "--shard": shard}, "is for a run, and --merge runs nothing")
        folders = [*merge, *map(Path, (words or [])[1:])]
        outcomes = merged_outcomes(suite, folders, only or [])
    else:
        outcomes = run_suite(suite, folder, say, only or [], share)
    if shard is not None:
        _tell_shard(share, outcomes, words, folder, say)
    elif any(outcome.scores or outcome.aggregate for outcome in outcomes):
        notes = looked(folders[0] if merge else folder, outcomes)
        _leaderboard(outcomes, folder / "leaderboard", options, console, suite, notes)
    if merge:
        tell_failures(outcomes, console, "the command that ran them tries them again")
    else:
        tell_failures(outcomes, console)


def _refuse(options: dict[str, Any], why: str) -> None:
    """Options that would have no effect."""
    from l2_harness.config.errors import ConfigError

    given = [name for name, value in options.items() if value]
    if given:
        raise ConfigError(f"{given[0]} {why}: leave it out.")


def _suite(words: list[str] | None) -> Suite:
    from l2_harness.compare.suite_reader import load_suite
    from l2_harness.config.errors import ConfigError

    if not words:
        raise ConfigError("pass SUITE, a file or one of --list, or --from with result folders.")
    if len(words) > 1:
        raise ConfigError(
            f"one suite a run, and these are {len(words)}: {', '.join(words)}. Folders of "
            "results need --from."
        )
    return load_suite(words[0])


def _leaderboard(
    outcomes: Sequence[Outcome],
    out: Path,
    options: Options,
    console: Console,
    suite: Suite | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Print and write it."""
    from l2_harness.compare.leaderboard import leaderboard, write_leaderboard
    from l2_harness.compare.leaderboard.output import NAMES
    from l2_harness.findings.terminal import show

    published, decision = (suite.published, suite.decision) if suite is not None else ((), None)
    result = leaderboard(outcomes, options, published, notes, decision)
    sections = write_leaderboard(result, out, command=command_line())
    show(sections, out, NAMES, console, result.notes)


def _tell_shard(
    shard: Shard,
    outcomes: Sequence[Outcome],
    words: list[str] | None,
    out: Path,
    say: Callable[[str], object],
) -> None:
    """What is to come after it."""
    from l2_harness.compare.processes import this_rank

    if this_rank() != 0:
        return
    has = "has ended" if outcomes else "has no cells"
    merge = shlex.join(["l2-harness", "compare", *(words or []), "--merge", str(out)])
    say(f"shard {shard.number}/{shard.of} {has}; once all have ended: {merge}")


def tell_failures(
    outcomes: Sequence[Outcome],
    console: Console,
    again: str = "the same command tries them again",
) -> None:
    """A line a cell that failed, and what tries them again.

    Raises:
        typer.Exit: there is one.
    """
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        where = f"{outcome.model}/{outcome.task}/{outcome.method}/seed{outcome.seed}"
        console.print(f"[red]failed[/red] {where}: ", end="", highlight=False)
        console.print(f"{outcome.error} ({outcome.folder}/error.log)", markup=False, soft_wrap=True)
    if failed:
        console.print(
            f"{len(failed)} of {len(outcomes)} cells failed; {again}.",
            highlight=False,
        )
        raise typer.Exit(1)


def _dry_run(suite: Suite, out: Path, only: list[str], shard: Shard, console: Console) -> None:
    from l2_harness.compare.plan import make_plan
    from l2_harness.compare.suite_checks import check_suite

    plan = make_plan(suite, out, check_suite(suite, only), only, shard)
    _show_plan(plan, suite, console)


def _show_plan(plan: Plan, suite: Suite, console: Console) -> None:
    """A row a method, with its seeds and what is to be done about them."""
    from rich.table import Table

    title = f"{suite.name}: {len(plan.cells)} cells, {len(plan.to_run)} runs to do"
    table = Table(title=title)
    for column in ("cells", "seeds", "role", "class", "own model_args", "gen_kwargs", "state"):
        table.add_column(column, overflow="fold")
    rows: dict[str, list[PlannedCell]] = {}
    for planned in [p for p in plan.to_run if p.draws_only] + plan.cells:
        rows.setdefault(planned.cell.group, []).append(planned)
    for name, cells in rows.items():
        first, cell = cells[0], cells[0].cell
        own = {k: v for k, v in cell.args.items() if cell.model.args.get(k) != v}
        states = dict.fromkeys(
            p.why if p in plan.to_run or p.finished else "left alone" for p in cells
        )
        drawn = f"; from {first.source.cell.method.name}" if first.source else ""
        table.add_row(
            escape(name),
            ", ".join(str(p.cell.seed) for p in cells),
            "samples" if first.draws_only else cell.method.role,
            cell.model_class,
            escape(_pairs(own)),
            escape(_pairs(cell.gen_kwargs)),
            "; ".join(states) + drawn,
        )
    console.print(table)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _list(console: Console) -> None:
    from rich.table import Table

    from l2_harness.compare.suite import cells_of
    from l2_harness.compare.suite_reader import load_suite, packaged_suites

    table = Table(title="Suites of the package")
    for column in ("suite", "models", "tasks", "methods", "cells"):
        table.add_column(column, justify="left" if column == "suite" else "right")
    table.add_column("what", overflow="fold")
    for name in packaged_suites():
        suite = load_suite(name)
        sizes = (suite.models, suite.tasks, suite.methods, list(cells_of(suite)))
        table.add_row(name, *(str(len(size)) for size in sizes), suite.description)
    console.print(table)


def _overrides(
    limit: float | None,
    tasks: str | None,
    seeds: str | None,
    model_args: str,
    batch_size: str | None,
    device: str | None,
    strict: bool,
    engine: str | None,
) -> Overrides:
    from l2_harness.compare.suite import Overrides, is_limit
    from l2_harness.config.errors import ConfigError

    if limit is not None and not is_limit(limit):
        raise ConfigError(f"--limit={limit:g} is no number of documents, nor a share below 1.")
    return Overrides(
        limit=int(limit) if limit is not None and limit >= 1 else limit,
        tasks=words_of(tasks),
        seeds=_seeds(seeds),
        device=device,
        batch_size=None if batch_size is None else batch_size_of(batch_size),
        model_args=arguments_of("--model-args", model_args),
        strict=strict,
        engine=engine_of(engine),
    )


def _seeds(words: str | None) -> tuple[int, ...] | None:
    from l2_harness.config.errors import ConfigError
    from l2_harness.config.numbers import as_whole

    if words is None:
        return None
    seeds = [as_whole(word) if word.strip().isdecimal() else None for word in words.split(",")]
    if None in seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds={words!r} is no list of different whole numbers: 0,1,2.")
    return tuple(seed for seed in seeds if seed is not None)
