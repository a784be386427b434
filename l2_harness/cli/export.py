"""``l2-harness export``: runs for the tools of others, evalstats and Inspect's log viewer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from l2_harness.cli.outputs import folder_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2_harness.lm_eval_files.outcomes import Outcome


def command(
    folders: Annotated[
        list[str],
        typer.Argument(help="Folders of lm-eval results, or of a suite: DIR, DIR=method."),
    ],
    out: Annotated[Path, folder_option("Folder for the files.")] = Path("l2_export"),
    metric: Annotated[
        str | None, typer.Option(help="Of evalstats' scores; by default a task's first.")
    ] = None,
) -> None:
    """Write scores as evalstats reads them, and samples as Inspect's log viewer does.

    evalstats_TASK.csv: model, prompt (the method), item (the question), run (the seed), score;
    `evalstats.load_from` reads it. A question's repeats are averaged, as lm-eval has scored them.

    inspect/: a log a run and task, for `inspect view --log-dir`; nothing of a sample is lost.
    """
    from l2_harness.findings.words import count
    from l2_harness.lm_eval_files.folders import read_folders
    from l2_harness.lm_eval_files.left_out import told

    found = read_folders(folders, metric=metric)
    out.mkdir(parents=True, exist_ok=True)
    tables = _evalstats(found.outcomes, out)
    logs = _inspect([Path(folder.rpartition("=")[0] or folder) for folder in folders], out)
    for sentence in [*told(found.left_out), *_unscored(found.outcomes)]:
        print(sentence)
    print(f"In {out}: {count(tables, 'table')} for evalstats, {count(logs, 'log')} for Inspect")


def _evalstats(outcomes: Sequence[Outcome], out: Path) -> int:
    """A table a task; how many."""
    import pandas as pd

    from l2_harness.findings.csv_files import write_csv

    rows: dict[str, list[dict[str, object]]] = {}
    for outcome in outcomes:
        own = {"model": outcome.model, "prompt": outcome.method, "run": outcome.seed or 0}
        rows.setdefault(outcome.task, []).extend(
            {**own, "item": question, "score": score} for question, score in outcome.scores.items()
        )
    for task, of_task in rows.items():
        columns = ["model", "prompt", "item", "run", "score"]
        write_csv(pd.DataFrame(of_task, columns=columns), out / f"evalstats_{_fit(task)}.csv")
    return len(rows)


def _unscored(outcomes: Sequence[Outcome]) -> list[str]:
    """Which have no scores of single questions, and so stand in no table."""
    return [
        f"Not in a table: {one.method} on {one.task}, whose questions' scores aren't known."
        for one in outcomes
        if not one.scores
    ]


def _inspect(folders: Sequence[Path], out: Path) -> int:
    """A log a run and task; how many."""
    from l2_harness.config.errors import ConfigError
    from l2_harness.lm_eval_files.inspect_log import inspect_log, log_name
    from l2_harness.lm_eval_files.runs import find_runs
    from l2_harness.paths import expanded
    from l2_harness.printable_text import printable
    from l2_harness.whole_files import write_text_atomically

    written = 0
    for run in (run for folder in folders for run in find_runs(expanded(folder)).runs):
        for task in run.tasks:
            try:
                log = inspect_log(run, task)
            except ConfigError as error:
                print(printable(f"No log of {task}: {error}"))
                continue
            if log is not None:
                (out / "inspect").mkdir(exist_ok=True)
                text = json.dumps(log, ensure_ascii=False, allow_nan=False)
                write_text_atomically(out / "inspect" / log_name(log), text + "\n")
                written += 1
    return written


def _fit(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name)
