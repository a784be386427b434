"""lm-eval's ``--log_samples`` files, as version 0.4.13 writes them.

``samples_<task>_<date>.jsonl``, a line a document and filter. The date is
``datetime.isoformat()`` with ``-`` for ``:``; it has no underscore, the task's name may have
many. Fields used: ``doc_id``, ``target``, ``arguments`` (``gen_args_<idx>`` → ``arg_<n>``,
``arg_0`` being the prompt), ``resps`` (by idx, then by repeat), ``filtered_resps`` (by idx),
``filter``, ``metrics`` (names of further fields).
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2_harness.norms.trace_hash import hash_prompt
from l2_harness.norms.trace_schema import TraceWarning

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.jsonl")


@dataclass(frozen=True)
class Sample:
    """One line: a document under one filter.

    Attributes:
        doc_id: lm-eval's number of the document.
        filter: the filter's name.
        target: the right answer, as lm-eval logged it.
        metrics: name → value: a number in general, a list for some metrics.
        prompt_hashes: by idx; None where the logged prompt isn't plain text.
        filtered: what the filter made of the responses, by idx.
        repeats: how often each request was answered.
        doc: the document, as JSON could hold it.
        prompts: by idx; None where the logged prompt isn't plain text.
    """

    doc_id: int
    filter: str
    target: str
    metrics: dict[str, Any]
    prompt_hashes: tuple[str | None, ...]
    filtered: list[Any]
    repeats: int
    doc: Any = None
    prompts: tuple[str | None, ...] = ()

    @property
    def requests(self) -> int:
        """How many requests the document made: a multiple choice makes one a choice."""
        return len(self.prompt_hashes)

    def asks(self, idx: int, prompt_hash: str) -> bool:
        """Whether request ``idx`` has this prompt, as far as the line tells."""
        return idx < self.requests and self.prompt_hashes[idx] in (None, prompt_hash)

    def filtered_response(self, idx: int, repeat: int, repeats: int) -> Any:
        """What the filter made of one response, or of all of them where it merged them."""
        if idx >= len(self.filtered):
            return None
        value = self.filtered[idx]
        # A loglikelihood's own answer is a pair of texts; several of them are a list of pairs.
        answers = isinstance(value, list) and not self._is_pair(value)
        if not answers or not value:
            return value
        if len(value) == 1:
            return value[0]
        return value[repeat] if repeat < len(value) and len(value) >= repeats else value

    def _is_pair(self, value: list[Any]) -> bool:
        return len(value) == 2 and value[1] in ("True", "False")


def read_samples(path: str | os.PathLike[str], tasks: Sequence[str]) -> dict[str, list[Sample]]:
    """The samples of those of ``tasks`` that have a file, by task.

    Raises:
        FileNotFoundError: nothing at ``path``, or no file of any of the tasks.
        ValueError: a file by another name than lm-eval gives; two folders with one task.
    """
    files = _files_by_task(Path(path).expanduser())
    found = {task: list(_lines(_latest(task, files[task]))) for task in tasks if task in files}
    if not found:
        raise FileNotFoundError(
            f"{path} has samples of {', '.join(sorted(files))}, none of the traces' tasks: "
            f"{', '.join(tasks)}."
        )
    return found


def _files_by_task(path: Path) -> dict[str, list[tuple[str, Path]]]:
    if not path.exists():
        raise FileNotFoundError(f"{path} doesn't exist: no sample files.")
    files: dict[str, list[tuple[str, Path]]] = {}
    for candidate in [path] if path.is_file() else sorted(path.rglob("samples_*.jsonl")):
        match = _NAME.fullmatch(candidate.name)
        if match is not None:
            files.setdefault(match["task"], []).append((match["date"], candidate))
    if not files and path.is_file():
        raise ValueError(f"{path} isn't named samples_<task>_<date>.jsonl, as lm-eval names them.")
    if not files:
        raise FileNotFoundError(
            f"{path} holds no samples_<task>_<date>.jsonl. Run lm_eval with --output_path and "
            "--log_samples."
        )
    return files


def _latest(task: str, files: list[tuple[str, Path]]) -> Path:
    folders = sorted({str(path.parent) for _, path in files})
    if len(folders) > 1:
        raise ValueError(f"task {task!r} has samples in {', '.join(folders)}: pass one of them.")
    path = max(files)[1]
    if len(files) > 1:
        _warn(f"task {task!r} has {len(files)} sample files; the latest is used: {path}")
    return path


def _lines(path: Path) -> Iterator[Sample]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield _sample(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                _warn(f"{path}, line {number}: no sample of lm-eval ({error!r}); left out")


def _sample(line: dict[str, Any]) -> Sample:
    arguments = line["arguments"]
    logged = [arguments[f"gen_args_{i}"].get("arg_0") for i in range(len(arguments))]
    prompts = tuple(p if isinstance(p, str) else None for p in logged)
    return Sample(
        doc_id=int(line["doc_id"]),
        filter=line["filter"],
        target=line["target"],
        metrics={name: line[name] for name in line["metrics"]},
        prompt_hashes=tuple(None if p is None else hash_prompt(p) for p in prompts),
        filtered=line["filtered_resps"],
        repeats=min((len(answers) for answers in line["resps"]), default=1),
        doc=line.get("doc"),
        prompts=prompts,
    )


def _warn(message: str) -> None:
    warnings.warn(message, TraceWarning, stacklevel=3)
