"""Sample files without a result file: their runs, as far as the samples tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from l2_harness.lm_eval_files.metrics import NO_FILTER
from l2_harness.lm_eval_files.questions import as_number
from l2_harness.lm_eval_files.reading import UnreadableError
from l2_harness.lm_eval_files.runs import Run
from l2_harness.lm_eval_files.samples import SampleFile, read_lines

NO_RESULTS = "there is no result file beside the samples: its figure is their mean"


def orphan_runs(files: Iterable[SampleFile]) -> list[Run]:
    """A run a folder and date, named after the folder; its figures are not known.

    Args:
        files: named as sample files with their task.
    """
    by_run: dict[tuple[Path, str], list[SampleFile]] = {}
    for file in files:
        by_run.setdefault((file.path.parent, file.date), []).append(file)
    return [_run(folder, date, own) for (folder, date), own in by_run.items()]


def _run(folder: Path, date: str, files: Sequence[SampleFile]) -> Run:
    results = {str(file.task): dict.fromkeys(_metrics(file)) for file in files}
    content: dict[str, Any] = {
        "results": results,
        "config": {"model_args": {"pretrained": folder.name or str(folder)}},
    }
    return Run(folder / f"results_{date}.json", date, content, files, note=NO_RESULTS)


def _metrics(file: SampleFile) -> list[str]:
    """``metric,filter`` of the numbers in a file, in its order."""
    found: dict[str, None] = {}
    try:
        for sample in read_lines(file.path, lambda number: None):
            numbers = (name for name, v in sample.metrics.items() if as_number(v) is not None)
            found |= dict.fromkeys(f"{name},{sample.filter or NO_FILTER}" for name in numbers)
    except UnreadableError:
        pass
    return list(found)
