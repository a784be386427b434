"""Recorded samples beside their task's verdicts: the table that selectors are compared on."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l2_harness.analysis.norms.responses import read_groups
from l2_harness.analysis.selectors.recorded_scores import score_groups
from l2_harness.analysis.selectors.samples import JudgedResponse, SampleTable, sample_table
from l2_harness.answers import AnswerKind
from l2_harness.config.layers import LayerSelection
from l2_harness.config.selection import Part
from l2_harness.lm_eval_files.judging import Judging
from l2_harness.lm_eval_files.verdicts import judged, with_documents
from l2_harness.norms import read_run_settings
from l2_harness.selection.confidence_scores import WINDOW
from l2_harness.selection.vote_answers import answer_kind, vote_answers
from l2_harness.selection.votes import answer_labels

#: What lm-eval's filters make of a response without a match.
_NO_MATCH = "[invalid]"


@dataclass(frozen=True)
class TraceSource:
    """Where recorded samples are, and how they are looked at.

    Attributes:
        trace_dir: of the run.
        samples: lm-eval's sample file of the same run, or its folder.
        task: which.
        run_id: None where the folder holds one run.
        part: which rows count.
        window: tokens of a DeepConf group.
        temperature: of CISC.
        layers: of the recorded layers, those that count; None for all.
        answers: how votes compare answers, or ``auto``.
        include_path: folders of task YAMLs.
        metadata: for the task, as lm-eval's ``--metadata``.
        filter, metric: the task's, by default its first ones.
    """

    trace_dir: Path
    samples: Path
    task: str
    run_id: str | None = None
    part: Part = "all"
    window: int = WINDOW
    temperature: float = 1.0
    layers: LayerSelection | None = None
    answers: str = "auto"
    include_path: Sequence[Path] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    filter: str | None = None
    metric: str | None = None

    @property
    def judging(self) -> Judging:
        """How the task judges a response."""
        return Judging(self.task, self.include_path, self.metadata, self.filter, self.metric)


@dataclass(frozen=True, eq=False)
class LoadedSamples:
    """The table, and the seconds that each step took."""

    table: SampleTable
    seconds: Mapping[str, float]


def load_samples(source: TraceSource) -> LoadedSamples:
    """Read, score and judge the recorded samples of a task.

    Raises:
        ConfigError: the task cannot be loaded, or an option does not fit it.
        FileNotFoundError: no traces, or no sample file of the task.
        ValueError: traces and samples that do not belong together.
    """
    seconds: dict[str, float] = {}
    start = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name] = time.perf_counter() - start
        start = time.perf_counter()

    traces = read_groups(source.trace_dir, source.run_id, source.task)
    traces = with_documents(traces, source.samples, source.task)
    settings = read_run_settings(source.trace_dir, str(traces["run_id"].iat[0]))
    source.judging.load(settings)  # what is asked for should not be asked after the scoring
    lap("reading")
    scores = score_groups(
        traces,
        source.trace_dir,
        part=source.part,
        window=source.window,
        temperature=source.temperature,
        layers=source.layers,
    )
    lap("scoring")
    verdicts = judged(traces, scores, source.judging, settings)
    lap("judging")
    labels, as_whole = _labels(traces, source, settings, [one.answer for one in verdicts])
    lap("comparing answers")
    groups: dict[Hashable, list[JudgedResponse]] = {}
    for i, group in enumerate(traces["group"]):
        one = JudgedResponse(
            verdicts[i].value,
            float(traces["n_tokens"].iat[i]),
            scores[i],
            traces["finish_reason"].iat[i] == "length",
            int(labels[i]),
            bool(as_whole[i]),
        )
        groups.setdefault(group, []).append(one)
    return LoadedSamples(sample_table(groups, with_labels=True), seconds)


def _labels(
    traces: pd.DataFrame,
    source: TraceSource,
    settings: Mapping[str, Any],
    filtered: Sequence[Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Equal numbers for equal answers within a group, and which are those of cut-off responses
    that are read as whole; (responses,) each. ``filtered`` is what the task makes of each.
    """
    said = source.answers
    if said == "auto":
        said = str(settings.get("selection_answers", "auto"))
    recorded = traces["answer"].notna().any()
    labels = np.full(len(traces), -1, dtype=np.int64)
    as_whole = np.zeros(len(traces), dtype=bool)
    for members in traces.groupby("group", sort=False).indices.values():
        rows = traces.iloc[members]
        kind = answer_kind(rows["doc"].iat[0], said)
        answers = _recorded(rows["answer"]) if recorded else [None] * len(rows)
        if all(answer is None for answer in answers):
            task = [filtered[i] for i in members]
            answers, as_whole[members] = _read(
                rows, kind, task, bool(settings.get("think_end_token"))
            )
        labels[members] = answer_labels(answers, kind)
    return labels, as_whole


def _recorded(answers: pd.Series) -> list[str | None]:
    return [None if pd.isna(answer) else str(answer) for answer in answers]


def _read(
    rows: pd.DataFrame, kind: AnswerKind, filtered: Sequence[Any], cut: bool
) -> tuple[list[str | None], bool]:
    """What the responses to one question answer, and whether cut-off ones are read as whole.

    Args:
        rows: with the columns of a trace, ``doc`` and ``prompt``.
        kind: how answers compare.
        filtered: what the task's filter makes of each, which then counts if it is an answer.
        cut: whether the responses come without their thinking.
    """
    from l2_harness.answers import opens_thinking

    texts = [str(text) for text in rows["response"]]
    answers, as_whole = vote_answers(
        texts,
        rows["doc"].iat[0],
        kind,
        opened=not cut and opens_thinking(rows["prompt"].iat[0]),
        truncated=[reason == "length" for reason in rows["finish_reason"]],
    )
    own = [str(f) if isinstance(f, str | int | float) else None for f in filtered]
    own = [
        None if f in (None, "", _NO_MATCH) or f == text else f
        for f, text in zip(own, texts, strict=True)
    ]
    if as_whole and any(f is not None for f in own):
        return own, True
    return answers, as_whole
