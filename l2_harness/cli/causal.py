"""``l2-harness causal``: do answers depend on the peaks? Edits of them beside their controls."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2_harness.cli.command_line import command_line
from l2_harness.cli.lm_eval_options import (
    AS_FOR_LM_EVAL,
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
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.recorded_options import seed_option
from l2_harness.cli.run_suite import run_suite

if TYPE_CHECKING:
    from l2_harness.compare.causal.arms import Arm
    from l2_harness.compare.suite import Suite, TaskRow
    from l2_harness.lm_eval_files.outcomes import Outcome

FACTORS = "0.75,0.5,0.25,0.1,0"


def command(
    out: Annotated[Path, folder_option("Folder for the section `causal`.")],
    runs: Annotated[
        Path | None, folder_option("Folder for the runs and their traces; OUT/runs by default.")
    ] = None,
    pretrained: Annotated[str, typer.Option(help="Model, as for l2hf.")] = "demo",
    tasks: TaskNames = "l2_demo",
    model_args: Annotated[
        str,
        typer.Option(
            "--model_args",
            "--model-args",
            help="More of l2hf's arguments, for all arms: layers, thresholds, dtype and so on.",
        ),
    ] = "",
    factors: Annotated[
        str, typer.Option(help="Shares of a state that the dose arms keep, joined by commas.")
    ] = FACTORS,
    limit: Limit = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric to compare, `name` or `name,filter` [task's first]")
    ] = None,
    batch_size: BatchSize = "16",
    device: Device = None,
    include_path: TaskFiles = None,
    gen_kwargs: GenKwargs = "",
    num_fewshot: Annotated[
        int | None, typer.Option("--num_fewshot", "--num-fewshot", min=0, help=AS_FOR_LM_EVAL)
    ] = None,
    system_instruction: Annotated[
        str | None,
        typer.Option("--system_instruction", "--system-instruction", help=AS_FOR_LM_EVAL),
    ] = None,
    apply_chat_template: ChatTemplate = True,
    seed: Annotated[int, seed_option("Of the runs and of all resampling.")] = 0,
) -> None:
    """Edit the peaks of the norm away, and other states beside them; compare all with plain.

    Arms that are finished in --runs are taken from there, and one that was cut off goes on. Ends
    with status 1 if an arm failed.
    """
    from l2_harness.compare.causal.arms import standard_arms
    from l2_harness.compare.causal.suite import causal_suite

    arms = standard_arms(_factors(factors))
    common: dict[str, Any] = {
        "limit": limit,
        "num_fewshot": num_fewshot,
        "apply_chat_template": apply_chat_template,
        "system_instruction": system_instruction,
        "gen_kwargs": arguments_of("--gen-kwargs", gen_kwargs),
        "metric": metric,
        "include_path": () if include_path is None else (str(include_path),),
    }
    suite = causal_suite(
        arms,
        {"pretrained": pretrained, **arguments_of("--model-args", model_args)},
        _task_rows(tasks, common),
        seed=seed,
        batch_size=batch_size_of(batch_size),
        device=device,
    )
    outcomes = run_suite(suite, runs or out / "runs", lambda line: print(line, file=sys.stderr))
    if not outcomes:
        return
    _report(outcomes, arms, suite, out, seed)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _report(
    outcomes: Sequence[Outcome], arms: Sequence[Arm], suite: Suite, out: Path, seed: int
) -> None:
    """Write the section and the table of answers, and print what was found."""
    from l2_harness.compare.causal.answers import answer_table
    from l2_harness.compare.causal.section import analyse, causal_section
    from l2_harness.findings.csv_files import write_csv
    from l2_harness.findings.section import write_section
    from l2_harness.findings.terminal import show

    failed = [o for o in outcomes if o.error]
    table = answer_table(outcomes, arms)
    section = causal_section(
        analyse(table, seed=seed),
        settings=_settings(suite),
        command=command_line(),
        notes=[
            f"Arm {o.method} of task {o.task} failed and is left out: {o.error}" for o in failed
        ],
    )
    folder = write_section(section, out)
    write_csv(table, folder / "answers.csv")
    show([section], out, [f"{section.name}/answers.csv"])


def _settings(suite: Suite) -> dict[str, Any]:
    (model,) = suite.models
    task = suite.tasks[0]
    return {
        "model": suite.models[0].args["pretrained"],
        "model_args": dict(model.args),
        "tasks": [row.task for row in suite.tasks],
        "limit": task.limit,
        "num_fewshot": task.num_fewshot,
        "apply_chat_template": task.apply_chat_template,
        "gen_kwargs": dict(task.gen_kwargs),
        "batch_size": suite.batch_size,
        "seed": suite.seeds[0],
        "arms": [method.name for method in suite.methods],
    }


def _task_rows(tasks: str, common: dict[str, Any]) -> list[TaskRow]:
    from l2_harness.compare.suite import TaskRow

    rows = {task: _folder_name(task) for task in words_of(tasks)}
    return [TaskRow(name=folder, task=task, **common) for task, folder in rows.items()]


def _folder_name(task: str) -> str:
    """A task may be a path, which holds what no folder's name should."""
    return "".join(c if c.isalnum() or c in "._-+" else "-" for c in task)


def _factors(text: str) -> list[float]:
    from l2_harness.config.errors import ConfigError

    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError as error:
        raise ConfigError(
            f"--factors {text!r} is not a list of numbers from 0 to 1, such as {FACTORS}."
        ) from error
