"""A run's samples as a log of Inspect's, which its viewer and its Python read.

The format is ``inspect_ai.log.EvalLog``, version 2, as JSON. A document is a sample, a repeat of it
an epoch; each metric under each filter is a score, named ``metric,filter``, of all of a document's
repeats. Nothing is lost: lm-eval's own lines are in the first epoch's metadata.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from l2_harness.findings.section import plain
from l2_harness.lm_eval_files.runs import Run
from l2_harness.lm_eval_files.samples import all_raw_lines, metrics_of, prompts_of

VERSION = 2
#: Characters of a task in a file's name, which may have 255 bytes.
_LONGEST_NAME = 50


def inspect_log(run: Run, task: str) -> dict[str, Any] | None:
    """The log of a task; None where its samples were not logged.

    Args:
        run: with its result file.
        task: one of its tasks.

    Raises:
        ConfigError: the sample file can't be read.

    Warns:
        TraceWarning: lines that are no samples, and are left out.
    """
    file = run.samples_of(task)
    if file is None:
        return None
    documents: dict[int, list[Mapping[str, Any]]] = {}
    for sample, line in all_raw_lines(file.path):
        documents.setdefault(sample.doc_id, []).append(line)
    samples = [one for lines in documents.values() for one in _epochs(lines, run.model)]
    created, epochs = _created(run), max((one["epoch"] for one in samples), default=1)
    identity = hashlib.sha256(f"{run.path} {task} {created}".encode()).hexdigest()[:22]
    log = {
        "version": VERSION,
        "status": "success",
        "eval": {
            "eval_id": identity,
            "run_id": identity,
            "task_id": identity,
            "created": created,
            "task": task,
            "model": run.model,
            "model_args": dict(run.model_args),
            "dataset": {"name": task, "samples": len(documents), "sample_ids": list(documents)},
            "config": {"epochs": epochs},
            "metadata": {"lm_eval": dict(run.config)},
        },
        "results": {
            "total_samples": len(samples),
            "completed_samples": len(samples),
            "scores": list(_figures(run, task)),
        },
        "samples": samples,
    }
    found: dict[str, Any] = plain(log)
    return found


def log_name(log: Mapping[str, Any]) -> str:
    """As Inspect names its logs, which is how its viewer finds them."""
    spec = log["eval"]
    task = re.sub(r"[^\w.+]+|_", "-", spec["task"])[:_LONGEST_NAME]
    return f"{spec['created'].replace(':', '-')}_{task}_{spec['task_id']}.json"


def _epochs(lines: Sequence[Mapping[str, Any]], model: str) -> Iterator[dict[str, Any]]:
    """A document's samples, one a repeat; its lines differ in their filters."""
    first = lines[0]
    texts = list(_texts(first.get("resps") or []))
    scores = {name: score for line in lines for name, score in _scores(line)}
    prompt = next((p for p in prompts_of(first.get("arguments", {})) if p is not None), "")
    for number, text in enumerate(texts or [None]):
        message = {"role": "assistant", "content": text or "", "source": "generate"}
        yield {
            "id": int(first["doc_id"]),
            "epoch": number + 1,
            "input": prompt,
            "target": _text(first.get("target")),
            "messages": [{"role": "user", "content": prompt}, message],
            "output": {
                "model": model,
                "choices": [{"message": message, "stop_reason": "unknown"}],
                "completion": text or "",
            },
            "scores": scores,
            "metadata": {"lm_eval": list(lines)} if number == 0 else {},
        }


def _texts(responses: Iterable[Any]) -> Iterator[str]:
    """Of a document's only request; a multiple choice has none."""
    requests = list(responses)
    if len(requests) == 1 and isinstance(requests[0], list):
        yield from (one for one in requests[0] if isinstance(one, str))


def _scores(line: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    filtered = line.get("filtered_resps") or []
    answer = filtered[0] if len(filtered) == 1 else filtered
    for name, value in metrics_of(line).items():
        known = isinstance(value, bool | int | float | str)
        yield (
            f"{name},{line.get('filter', 'none')}",
            {"value": value if known else _text(value), "answer": _text(answer)},
        )


def _figures(run: Run, task: str) -> Iterator[dict[str, Any]]:
    """lm-eval's own figures of the task."""
    for name, value in dict(run.tasks.get(task) or {}).items():
        metric, _, filter_ = str(name).partition(",")
        if filter_ and isinstance(value, int | float) and "_stderr" not in metric:
            errors = run.tasks[task].get(f"{metric}_stderr,{filter_}")
            metrics = {"mean": {"name": "mean", "value": value}}
            if isinstance(errors, int | float):
                metrics["stderr"] = {"name": "stderr", "value": errors}
            yield {"name": str(name), "scorer": str(name), "metrics": metrics}


def _created(run: Run) -> str:
    """ISO time, UTC."""
    try:
        created = datetime.fromtimestamp(run.content.get("date"), timezone.utc)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):  # none that a clock could show
        created = datetime.fromtimestamp(run.path.stat().st_mtime, timezone.utc)
    return created.isoformat(timespec="seconds")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
