"""lm-eval's sample files: question → score.

A question is known by its document, whatever its number, its prompt or its target: lm-eval's
``doc_hash``, which is SHA-256 of the document as JSON, or the same made here for files of versions
that didn't write it. ``prompt_hash`` and ``target_hash`` won't do: the same question under another
chat template has another.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from l2_harness.lm_eval_files.metrics import Chosen, question_count, reported
from l2_harness.lm_eval_files.outcomes import Aggregate
from l2_harness.lm_eval_files.runs import Run

PairBy = Literal["document", "doc_id"]
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class ScoredTask:
    """A task of a run.

    Attributes:
        scores: question → the metric; empty where only the figure of all is known.
        reported: that figure, as the result file has it.
        notes: what is missing.
    """

    scores: Mapping[str, float]
    reported: Aggregate | None
    notes: list[str] = field(default_factory=list)


def score_task(run: Run, task: str, chosen: Chosen, pair_by: PairBy = "document") -> ScoredTask:
    """The scores of a task's questions.

    Where they do not average to the figure that the run reported of them, the metric is no mean
    over questions (a perplexity, an F1, a correlation): then there are none.
    """
    figure = reported(run, task, chosen)
    path = run.folder / f"samples_{task}_{run.date}.jsonl"
    where = f"{run.folder.name}/{path.name}"
    if not path.is_file():
        note = f"{where} is missing (--log_samples): {task} can't be compared question by question."
        return ScoredTask({}, figure, [note])
    notes: list[str] = []
    scores = _keyed(list(_scored_lines(path, chosen, pair_by, where, notes)), pair_by)
    expected = question_count(run, task)
    if expected is not None and len(scores) != expected:
        notes.append(f"{where} has {len(scores)} of the run's {expected} questions.")
    elif figure is not None and not _averages_to(scores, figure.value):
        notes.append(
            f"{where}: the questions' {chosen.name} does not average to the reported "
            f"{figure.value:.4g}, so it is no mean over questions and can't be compared by them."
        )
        return ScoredTask({}, figure, notes)
    return ScoredTask(scores, figure, notes)


@dataclass(frozen=True)
class _Line:
    doc_id: float
    question: str
    score: float


def _scored_lines(
    path: Path, chosen: Chosen, pair_by: PairBy, where: str, notes: list[str]
) -> Iterator[_Line]:
    """Lines of the chosen filter; what can't be used goes into the notes, with its line."""
    seen: Counter[Any] = Counter()
    damaged, unknown = [], 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, text in enumerate(file, start=1):
            try:
                line = json.loads(text)
                doc_id, question = line["doc_id"], _question(line, pair_by)
            except (ValueError, KeyError, TypeError, RecursionError):
                damaged.append(str(number))
                continue
            seen[doc_id] += 1
            # Files without the filter's name have all lines of one filter, then all of the next.
            own = (
                line["filter"] == chosen.filter
                if "filter" in line
                else seen[doc_id] == chosen.place + 1
            )
            if not own:
                continue
            score = as_number(line.get(chosen.name))
            if score is None:
                unknown += 1
            else:
                yield _Line(doc_id if isinstance(doc_id, int | float) else 0, question, score)
    if damaged:
        some = ", ".join(damaged[:5]) + (", …" if len(damaged) > 5 else "")
        notes.append(f"{where}: line {some} is no sample of lm-eval's and is left out.")
    if unknown:
        notes.append(f"{where}: {unknown} questions have no number for {chosen.name}.")


def as_number(value: Any) -> float | None:
    """A score; the mean of a list, a value a repeat; None for anything else."""
    if isinstance(value, list):
        numbers = [as_number(one) for one in value]
        known = [one for one in numbers if one is not None]
        return sum(known) / len(known) if known and len(known) == len(numbers) else None
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    return None


def _question(line: Mapping[str, Any], pair_by: PairBy) -> str:
    if pair_by == "doc_id":
        return str(line["doc_id"])
    known = line.get("doc_hash")
    return known if isinstance(known, str) and known else document_hash(line["doc"])


def document_hash(doc: Any) -> str:
    """lm-eval's ``doc_hash`` of a document."""
    text = json.dumps(doc, indent=2, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _keyed(lines: list[_Line], pair_by: PairBy) -> dict[str, float]:
    """Documents that a task has several times are numbered, in the documents' order."""
    times: Counter[str] = Counter()
    scores: dict[str, float] = {}
    for line in sorted(lines, key=lambda one: one.doc_id):
        times[line.question] += 1
        n = times[line.question]
        scores[line.question if n == 1 else f"{line.question}#{n}"] = line.score
    return scores


def _averages_to(scores: Mapping[str, float], value: float) -> bool:
    if not scores:
        return False
    mean = sum(scores.values()) / len(scores)
    return abs(mean - value) <= _TOLERANCE * max(1.0, abs(value))
