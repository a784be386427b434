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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from l2_harness.lm_eval_files.metrics import Chosen, question_count, reported
from l2_harness.lm_eval_files.outcomes import Aggregate
from l2_harness.lm_eval_files.reading import UnreadableError
from l2_harness.lm_eval_files.runs import Run
from l2_harness.lm_eval_files.samples import LoggedSample, SampleFile, damaged_lines, read_lines

PairBy = Literal["document", "doc_id"]
Document = tuple[int, str]
"""lm-eval's number of a document, and its question."""

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

    @property
    def mean(self) -> float:
        """Over all questions of the run, whether or not each has a score here."""
        if self.reported is not None:
            return self.reported.value
        return sum(self.scores.values()) / len(self.scores)

    @property
    def size(self) -> int:
        """How many questions the run had."""
        known = None if self.reported is None else self.reported.questions
        return len(self.scores) if known is None else known


def score_task(run: Run, task: str, chosen: Chosen, pair_by: PairBy = "document") -> ScoredTask:
    """The scores of a task's questions.

    Where they do not average to the figure that the run reported of them, the metric is no mean
    over questions (a perplexity, an F1, a correlation): then there are none.
    """
    figure = reported(run, task, chosen)
    file = run.samples_of(task)
    if file is None:
        return ScoredTask({}, figure, ["no sample file (--log_samples)"])
    notes: list[str] = []
    scores = _scores(file, task, chosen, pair_by, notes)
    expected = question_count(run, task)
    if not scores:
        notes = notes or [f"no score of {chosen.label} in the sample file"]
    elif expected is not None and len(scores) != expected:
        notes.append(f"the sample file has {len(scores)} of the run's {expected} questions")
    elif (
        (expected is not None or not notes)
        and figure is not None
        and not _averages_to(scores, figure.value)
    ):
        notes.append(
            f"the questions' {chosen.name} does not average to the reported figure, so it is no "
            "mean over questions and can't be compared by them"
        )
        return ScoredTask({}, figure, notes)
    return ScoredTask(scores, figure, notes)


def question_of(sample: LoggedSample) -> str:
    """What makes a sample's question the same question elsewhere."""
    return sample.doc_hash or document_hash(sample.doc)


def document_hash(doc: Any) -> str:
    """lm-eval's ``doc_hash`` of a document."""
    text = json.dumps(doc, indent=2, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def question_keys(documents: Iterable[Document]) -> dict[Document, str]:
    """Document → its question's key; one that a task has several times is numbered, in order."""
    times: Counter[str] = Counter()
    keys: dict[Document, str] = {}
    for doc_id, question in sorted(set(documents)):
        times[question] += 1
        n = times[question]
        keys[doc_id, question] = question if n == 1 else f"{question}#{n}"
    return keys


def as_number(value: Any) -> float | None:
    """A score; the mean of a list, a value a repeat; None for anything else."""
    if isinstance(value, list):
        numbers = [as_number(one) for one in value]
        known = [one for one in numbers if one is not None]
        return sum(known) / len(known) if known and len(known) == len(numbers) else None
    if not isinstance(value, bool | int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond any float
        return None


def _scores(
    file: SampleFile, task: str, chosen: Chosen, pair_by: PairBy, notes: list[str]
) -> dict[str, float]:
    """Of the lines of the chosen filter; what can't be used goes into the notes."""
    damaged: list[int] = []
    scores: dict[Document, float | None] = {}
    again = 0
    try:
        for sample in read_lines(file.path, damaged.append):
            if _is_under(sample, chosen):
                document = sample.doc_id, question_of(sample)
                again += document in scores
                scores.setdefault(document, as_number(sample.metrics.get(chosen.name)))
    except UnreadableError as error:
        notes.append(f"the sample file is {error}")
        return {}
    known = {document: score for document, score in scores.items() if score is not None}
    if damaged:
        notes.append(f"{file.path.name}: {damaged_lines(damaged)}")
    if len(known) < len(scores):
        unknown = _counted(len(scores) - len(known))
        notes.append(f"{unknown} without a number for {chosen.name}")
    if again:
        notes.append(f"{_counted(again)} logged twice, of which the first line counts")
    if pair_by == "doc_id":
        return {f"{task} {doc_id}": score for (doc_id, _), score in sorted(known.items())}
    return {key: known[document] for document, key in question_keys(known).items()}


def _is_under(sample: LoggedSample, chosen: Chosen) -> bool:
    """Files without the filter's name have all lines of one filter, then all of the next."""
    return sample.filter == chosen.filter if sample.filter else sample.place == chosen.place


def _counted(questions: int) -> str:
    return "1 question is" if questions == 1 else f"{questions} questions are"


def _averages_to(scores: Mapping[str, float], value: float) -> bool:
    mean = sum(scores.values()) / len(scores)
    return abs(mean - value) <= _TOLERANCE * max(1.0, abs(value))
