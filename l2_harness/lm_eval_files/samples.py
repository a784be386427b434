"""lm-eval's ``--log_samples`` files: where they are, and what a line of one says.

========================================  ============================================
``samples_<task>_<date>.jsonl``            0.4.4 to 0.4.13, a line a document and filter
``samples_<task>_<date>.json``             0.4.3, the Open LLM Leaderboard's details
``<model_args>_<task>.jsonl``              0.4.0 to 0.4.2, one list
========================================  ============================================

Any of them may be compressed, ``.gz``. The date is ``datetime.isoformat()``, ``-`` for ``:``.

Fields: ``doc_id``, ``doc``, ``doc_hash`` (since 0.4.3), ``target``, ``arguments`` (``gen_args_<i>``
→ ``arg_<n>``, ``arg_0`` being the prompt; lists before 0.4.3), ``resps`` (by idx, then by repeat),
``filtered_resps`` (by idx), ``filter`` and ``metrics``, names of further fields (both since 0.4.4
or later).
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.reading import UnreadableError, files_below, read_values
from l2_harness.norms.trace_hash import hash_prompt
from l2_harness.norms.trace_schema import TraceWarning
from l2_harness.paths import expanded

#: As file names hold it.
DATE = r"\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(\.\d+)?"
_NAME = re.compile(rf"(?P<stem>.+?)(_(?P<date>{DATE}))?\.jsonl?(\.gz)?")
_BEFORE = "samples_"
#: Fields of a line that are no metrics.
_FIELDS = frozenset(
    """arguments doc doc_hash doc_id filter filtered_resps metrics prompt_hash resps target
    target_hash""".split()
)


@dataclass(frozen=True)
class SampleFile:
    """A file that may hold samples.

    Attributes:
        path: of the file.
        stem: its name without the date.
        date: in its name; empty where it has none.
    """

    path: Path
    stem: str
    date: str

    @property
    def task(self) -> str | None:
        """The task that its name says; None for names of versions before 0.4.3."""
        return self.stem.removeprefix(_BEFORE) if self.stem.startswith(_BEFORE) else None

    def may_hold(self, task: str) -> bool:
        """Whether its name allows for it."""
        return self.task == task or (self.task is None and self.stem.endswith(f"_{task}"))


@dataclass(frozen=True, eq=False)
class LoggedSample:
    """One line: a document under one filter.

    Attributes:
        doc_id: lm-eval's number of the document.
        doc: the document, as JSON could hold it.
        doc_hash: lm-eval's, where the line has it.
        filter: the filter's name; empty in files of versions that leave it out.
        place: how many lines of the same document come before.
        target: the right answer, as lm-eval logged it.
        metrics: name → value: a number in general, a list for some metrics.
        prompts: by idx; None where the logged prompt isn't plain text.
        filtered: what the filter made of the responses, by idx.
        repeats: how often each request was answered.
    """

    doc_id: int
    doc: Any
    doc_hash: str
    filter: str
    place: int
    target: str
    metrics: Mapping[str, Any]
    prompts: tuple[str | None, ...]
    filtered: list[Any]
    repeats: int

    @cached_property
    def prompt_hashes(self) -> tuple[str | None, ...]:
        """By idx; None where the logged prompt isn't plain text."""
        return tuple(None if p is None else hash_prompt(p) for p in self.prompts)

    @property
    def requests(self) -> int:
        """How many requests the document made: a multiple choice makes one a choice."""
        return len(self.prompts)

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


def sample_files(paths: Iterable[Path]) -> list[SampleFile]:
    """Those of some files that may hold samples."""
    named = [(path, _NAME.fullmatch(path.name)) for path in paths]
    return [
        SampleFile(path, match["stem"], (match["date"] or "").replace(":", "-"))
        for path, match in named
        if match is not None
    ]


def read_lines(path: Path, damaged: Callable[[int], None]) -> Iterator[LoggedSample]:
    """The samples of a file.

    Args:
        path: of the file.
        damaged: called with the number of each line that holds none.

    Raises:
        UnreadableError: the file can't be read at all.
    """
    return (sample for sample, _ in read_raw_lines(path, damaged))


def read_raw_lines(
    path: Path, damaged: Callable[[int], None]
) -> Iterator[tuple[LoggedSample, Mapping[str, Any]]]:
    """The same, each with its line as lm-eval wrote it."""
    seen: Counter[int] = Counter()
    for number, line in read_values(path):
        try:
            sample = _sample(line, seen)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
            damaged(number)
            continue
        yield sample, line


def read_samples(
    path: str | os.PathLike[str], tasks: Sequence[str]
) -> dict[str, list[LoggedSample]]:
    """The samples of those of ``tasks`` that have a file, by task.

    Raises:
        FileNotFoundError: nothing at ``path``, or no file of any of the tasks.
        ConfigError: a file by another name than lm-eval gives, or that can't be read; two folders
            with one task.
    """
    files = _files_of(path, tasks)
    return {task: _all_of(_latest(task, own)) for task, own in files.items()}


def logged_tasks(path: str | os.PathLike[str], tasks: Sequence[str]) -> list[str]:
    """Those of ``tasks`` that have a file, with the errors of :func:`read_samples`."""
    return list(_files_of(path, tasks))


def _files_of(path: str | os.PathLike[str], tasks: Sequence[str]) -> dict[str, list[SampleFile]]:
    files = _files_by_task(expanded(path))
    found = {task: files[task] for task in tasks if task in files}
    if not found:
        raise FileNotFoundError(
            f"{path} has samples of {', '.join(sorted(files))}, none of the traces' tasks: "
            f"{', '.join(tasks)}."
        )
    return found


def _files_by_task(path: Path) -> dict[str, list[SampleFile]]:
    if not path.exists():
        raise FileNotFoundError(f"{path} doesn't exist: no sample files.")
    files: dict[str, list[SampleFile]] = {}
    for file in sample_files(files_below(path) if path.is_dir() else [path]):
        if file.task is not None:
            files.setdefault(file.task, []).append(file)
    if not files and path.is_file():
        raise ConfigError(f"{path} isn't named samples_<task>_<date>.jsonl, as lm-eval names them.")
    if not files:
        raise FileNotFoundError(
            f"{path} holds no samples_<task>_<date>.jsonl. Run lm_eval with --output_path and "
            "--log_samples."
        )
    return files


def _latest(task: str, files: list[SampleFile]) -> Path:
    folders = sorted({str(file.path.parent) for file in files})
    if len(folders) > 1:
        raise ConfigError(f"task {task!r} has samples in {', '.join(folders)}: pass one of them.")
    path = max(files, key=lambda file: (file.date, str(file.path))).path
    if len(files) > 1:
        _warn(f"task {task!r} has {len(files)} sample files; the latest is used: {path}")
    return path


def _all_of(path: Path) -> list[LoggedSample]:
    return [sample for sample, _ in all_raw_lines(path)]


def all_raw_lines(path: Path) -> list[tuple[LoggedSample, Mapping[str, Any]]]:
    """Every sample of a file with its line.

    Raises:
        ConfigError: it can't be read.

    Warns:
        TraceWarning: lines that are no samples, and are left out.
    """
    damaged: list[int] = []
    try:
        samples = list(read_raw_lines(path, damaged.append))
    except UnreadableError as error:
        raise ConfigError(f"{path} is {error}.") from error
    if damaged:
        _warn(f"{path}: {damaged_lines(damaged)}")
    return samples


def damaged_lines(numbers: Sequence[int]) -> str:
    """Which lines are left out, in words."""
    some = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    verb = "is no sample" if len(numbers) == 1 else "are no samples"
    return f"line{'s' * (len(numbers) > 1)} {some} {verb} of lm-eval and left out"


def _sample(line: Mapping[str, Any], seen: Counter[int]) -> LoggedSample:
    doc_id = int(line["doc_id"])
    filtered = line.get("filtered_resps", [])
    if not isinstance(filtered, list):
        raise TypeError("filtered_resps is no list")
    known = line.get("doc_hash")
    sample = LoggedSample(
        doc_id=doc_id,
        doc=line.get("doc") if isinstance(known, str) else line["doc"],
        doc_hash=known if isinstance(known, str) else "",
        filter=str(line.get("filter", "")),
        place=seen[doc_id],
        target=line.get("target", ""),
        metrics=metrics_of(line),
        prompts=prompts_of(line.get("arguments", {})),
        filtered=filtered,
        repeats=min((len(r) for r in line.get("resps", ()) if isinstance(r, list)), default=1),
    )
    seen[doc_id] += 1
    return sample


def metrics_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """Name → value of a line of a sample file."""
    names = line.get("metrics") or [name for name in line if name not in _FIELDS]
    return {name: line[name] for name in names if name in line}


def prompts_of(arguments: Any) -> tuple[str | None, ...]:
    """``{"gen_args_0": {"arg_0": prompt}}``, or ``[[prompt, …]]`` before 0.4.3."""
    if isinstance(arguments, Mapping):
        of_idx = [arguments.get(f"gen_args_{i}") for i in range(len(arguments))]
        logged = [one.get("arg_0") if isinstance(one, Mapping) else None for one in of_idx]
    else:
        logged = [one[0] if isinstance(one, list) else one for one in arguments or ()]
    return tuple(p if isinstance(p, str) else None for p in logged)


def _warn(message: str) -> None:
    warnings.warn(message, TraceWarning, stacklevel=3)
