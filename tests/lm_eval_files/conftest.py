"""Runs as lm-eval writes them, in one call."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from l2_harness.lm_eval_files.questions import document_hash

WriteRun = Callable[..., Path]


def _write_run(
    folder: Path,
    scores: dict[str, Sequence[Any]],
    *,
    model: str = "org/model",
    args: str = "",
    second: int = 0,
    samples: bool = True,
    results: dict[str, Any] | None = None,
    **content: Any,
) -> Path:
    """Task → its questions' scores, as 0.4.13 writes them; ``content`` goes into the result file.

    The documents of a task are the same in every run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    date = f"2025-03-04T05-06-{second:02d}.000000"
    figures = {task: {"acc,none": sum(own) / len(own)} for task, own in scores.items()}
    result = {
        "results": {**figures, **(results or {})},
        "configs": {task: {"metric_list": [{"metric": "acc"}]} for task in scores},
        "n-samples": {task: {"effective": len(own)} for task, own in scores.items()},
        "versions": dict.fromkeys(scores, 1.0),
        "n-shot": dict.fromkeys(scores, 0),
        "config": {"model": "hf", "model_args": f"pretrained={model}{args}", "torch_seed": 1234},
        **content,
    }
    (folder / f"results_{date}.json").write_text(json.dumps(result), "utf-8")
    for task, own in scores.items() if samples else ():
        lines = [
            {
                "doc_id": i,
                "doc": {"question": f"{task} {i}"},
                "doc_hash": document_hash({"question": f"{task} {i}"}),
                "filter": "none",
                "metrics": ["acc"],
                "acc": score,
            }
            for i, score in enumerate(own)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{task}_{date}.jsonl").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="session")
def write_run() -> WriteRun:
    """``write_run(folder, {task: scores}, model=…, args=…, second=…)``."""
    return _write_run
