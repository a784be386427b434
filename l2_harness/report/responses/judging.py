"""What lm-eval's sample files say of recorded responses: question, reference, answer, verdict."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.lm_eval_files.judging import Judging
from l2_harness.lm_eval_files.samples import logged_tasks
from l2_harness.norms import TraceWarning
from l2_harness.report.responses.views import Known

if TYPE_CHECKING:
    import pandas as pd

#: Fields of a document that hold its question, in the order in which they are looked for.
_QUESTIONS = ("question", "Question", "problem", "Problem", "query", "input", "prompt")


@dataclass(frozen=True)
class VerdictSource:
    """Where verdicts come from.

    Attributes:
        path: lm-eval's sample file of the run, or its folder.
        include_path: folders of task YAMLs, for tasks that lm-eval does not know.
        filter, metric: the task's; by default its first filter and its first metric that is a
            number.
    """

    path: Path
    include_path: Sequence[Path] = field(default=())
    filter: str | None = None
    metric: str | None = None


def known_of(
    traces: pd.DataFrame, source: VerdictSource, settings: Mapping[str, Any]
) -> list[Known]:
    """What the sample files say of each response.

    lm-eval logs one verdict a document. Where several samples or repeats answer it, each is
    judged by the task itself.

    Args:
        traces: of generated responses of one run, with a plain index.
        source: the sample files.
        settings: of the run.

    Raises:
        FileNotFoundError: no sample file of any of the tasks.
        ValueError: samples of another run, an unknown filter or metric, a task that lm-eval
            does not know.
    """
    result = [Known()] * len(traces)
    failed: list[ValueError] = []
    tasks = logged_tasks(source.path, sorted(set(traces["task"])))
    for task in tasks:
        of_task = traces[traces["task"] == task].rename_axis("place").reset_index()
        try:
            for place, known in _of_task(of_task, source, settings):
                result[place] = known
        except ValueError as error:
            failed.append(error)
            if len(tasks) == 1:
                raise
            warnings.warn(f"task {task!r} is not judged: {error}", TraceWarning, stacklevel=2)
    if len(failed) == len(tasks):
        raise failed[0]
    return result


def _of_task(
    traces: pd.DataFrame, source: VerdictSource, settings: Mapping[str, Any]
) -> Iterator[tuple[int, Known]]:
    """Place and what is known of each response that the sample file has a document of."""
    from l2_harness.lm_eval_files.verdicts import verdicts, with_documents

    task = str(traces["task"].iat[0])
    joined = with_documents(traces, source.path, task, source.filter)
    judging = Judging(task, source.include_path, filter=source.filter, metric=source.metric)
    found = verdicts(joined, judging, settings)
    for row, value, answer in zip(
        joined.itertuples(index=False), found.values, found.answers, strict=True
    ):
        yield (
            int(row.place),
            Known(
                prompt=row.prompt or None,
                question=_question(row.doc),
                reference=str(row.target),
                extracted=_extracted(answer, row),
                verdict="correct" if value > 0.5 else "wrong",
                metric=f"{found.metric} {value:g}",
            ),
        )


def _question(document: Any) -> str | None:
    if not isinstance(document, Mapping):
        return None
    found = (document.get(name) for name in _QUESTIONS)
    return next((text for text in found if isinstance(text, str) and text.strip()), None)


def _extracted(value: Any, row: Any) -> str | None:
    """What the task's filter made of a response.

    A filter that leaves responses as they are extracts nothing; a task whose documents say what
    kind of answer they ask for, as this project's do, then reads the answer when it scores.
    """
    from l2_harness.answers import opens_thinking
    from l2_harness.selection.vote_answers import said_kind, vote_answer

    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if value is None or str(value) != row.response:
        return None if value is None else str(value)
    kind = said_kind(row.doc)
    if kind is None:
        return None
    cut = row.finish_reason == "length"
    return vote_answer(
        row.response, row.doc, kind, opened=opens_thinking(row.prompt or ""), truncated=cut
    )
