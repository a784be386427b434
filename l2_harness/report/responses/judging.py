"""What lm-eval's sample files say of recorded responses: question, reference, answer, verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.lm_eval_files import join_samples
from l2_harness.lm_eval_files.judging import Judged
from l2_harness.lm_eval_files.samples import Sample, read_samples
from l2_harness.lm_eval_files.verdicts import Judging, judged
from l2_harness.report.responses.views import Verdict

if TYPE_CHECKING:
    import pandas as pd

#: Fields of a document that hold its question, in the order in which they are looked for.
_QUESTIONS = ("question", "Question", "problem", "Problem", "query", "input", "prompt")


@dataclass(frozen=True)
class Known:
    """What is known of one response beyond its trace; see :class:`ResponseView`."""

    prompt: str | None = None
    question: str | None = None
    reference: str | None = None
    extracted: str | None = None
    verdict: Verdict = "unjudged"
    metric: str = ""


@dataclass(frozen=True)
class SampleSource:
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
    traces: pd.DataFrame, source: SampleSource, settings: Mapping[str, Any]
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
    logged = read_samples(source.path, sorted(set(traces["task"])))
    result = [Known()] * len(traces)
    for task, samples in logged.items():
        places = [i for i, name in enumerate(traces["task"]) if name == task]
        of_task = traces.iloc[places].reset_index(drop=True)
        for place, known in zip(places, _of_task(of_task, samples, source, settings), strict=True):
            result[place] = known
    return result


def _of_task(
    traces: pd.DataFrame,
    samples: Sequence[Sample],
    source: SampleSource,
    settings: Mapping[str, Any],
) -> list[Known]:
    filter = source.filter if source.filter is not None else samples[0].filter
    joined = join_samples(traces, source.path, filter=filter)
    documents = {sample.doc_id: sample for sample in samples if sample.filter == filter}
    rows = [
        (row, None if math.isnan(row.logged_doc_id) else documents[int(row.logged_doc_id)])
        for row in joined.itertuples(index=False)
    ]
    shared = any(row.metrics_judge == "document" for row, sample in rows if sample is not None)
    if shared:
        verdicts = _judged_apart(rows, source, settings, filter)
    else:
        verdicts = [
            None if sample is None else _logged(row, sample, source.metric) for row, sample in rows
        ]
    pairs = zip(rows, verdicts, strict=True)
    return [
        Known() if sample is None or verdict is None else _known(row, sample, verdict)
        for (row, sample), verdict in pairs
    ]


def _logged(row: Any, sample: Sample, metric: str | None) -> Judged:
    """What lm-eval said of the only response to a document."""
    numbers = {n: float(v) for n, v in sample.metrics.items() if isinstance(v, bool | int | float)}
    name = metric if metric is not None else next(iter(numbers), None)
    if name is None or name not in numbers:
        raise ValueError(
            f"task {row.task!r} has no metric {name!r} that is a number of one response. "
            f"Its metrics: {', '.join(sample.metrics)}."
        )
    return Judged(name, numbers[name], row.filtered_resp)


def _judged_apart(
    rows: Sequence[tuple[Any, Sample | None]],
    source: SampleSource,
    settings: Mapping[str, Any],
    filter: str,
) -> list[Judged | None]:
    """What the task says of each of several responses to a document."""
    import pandas as pd

    asked = [(row, sample) for row, sample in rows if sample is not None]
    columns = {
        "response": [row.response for row, _ in asked],
        "finish_reason": [row.finish_reason for row, _ in asked],
        "tokens": [row.tokens for row, _ in asked],
        "doc": [sample.doc for _, sample in asked],
        "prompt": [sample.prompts[row.idx] or "" for row, sample in asked],
    }
    how = Judging(rows[0][0].task, source.include_path, filter=filter, metric=source.metric)
    found = iter(judged(pd.DataFrame(columns), [{}] * len(asked), how, settings))
    return [None if sample is None else next(found) for _, sample in rows]


def _known(row: Any, sample: Sample, judged: Judged) -> Known:
    prompts = sample.prompts
    return Known(
        prompt=prompts[row.idx] if row.idx < len(prompts) else None,
        question=_question(sample.doc),
        reference=str(sample.target),
        extracted=_answer(judged.answer),
        verdict="correct" if judged.value > 0.5 else "wrong",
        metric=f"{judged.metric} {judged.value:g}",
    )


def _question(document: Any) -> str | None:
    if not isinstance(document, Mapping):
        return None
    found = (document.get(name) for name in _QUESTIONS)
    return next((text for text in found if isinstance(text, str) and text.strip()), None)


def _answer(value: Any) -> str | None:
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return None if value is None else str(value)
