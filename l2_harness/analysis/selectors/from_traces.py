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
from l2_harness.config.layers import LayerSelection
from l2_harness.config.selection import Part
from l2_harness.lm_eval_files.judging import Judging
from l2_harness.lm_eval_files.verdicts import judged, with_documents
from l2_harness.norms import read_run_settings
from l2_harness.selection.confidence_scores import WINDOW
from l2_harness.selection.vote_answers import answer_kind, vote_answer
from l2_harness.selection.votes import answer_labels


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
        traces, source.trace_dir, part=source.part, window=source.window, layers=source.layers
    )
    lap("scoring")
    correct = [one.value for one in judged(traces, scores, source.judging, settings)]
    lap("judging")
    labels = _labels(traces, source, settings)
    lap("comparing answers")
    groups: dict[Hashable, list[JudgedResponse]] = {}
    for i, group in enumerate(traces["group"]):
        one = JudgedResponse(
            correct[i],
            float(len(traces["tokens"].iat[i])),
            scores[i],
            traces["finish_reason"].iat[i] == "length",
            int(labels[i]),
        )
        groups.setdefault(group, []).append(one)
    return LoadedSamples(sample_table(groups, with_labels=True), seconds)


def _labels(traces: pd.DataFrame, source: TraceSource, settings: Mapping[str, Any]) -> np.ndarray:
    """(responses,) equal numbers for equal answers within a group."""
    said = source.answers
    if said == "auto":
        said = str(settings.get("selection_answers", "auto"))
    answers = recorded_answers(traces, said, cut=bool(settings.get("think_end_token")))
    labels = np.full(len(traces), -1, dtype=np.int64)
    for members in traces.groupby("group", sort=False).indices.values():
        kind = answer_kind(traces["doc"].iat[members[0]], said)
        labels[members] = answer_labels([answers[i] for i in members], kind)
    return labels


def recorded_answers(traces: pd.DataFrame, said: str, *, cut: bool) -> list[str | None]:
    """What votes take each response for: as the run recorded it, else read from the response.

    Args:
        traces: with the columns of a trace, ``doc`` and ``prompt``.
        said: a kind of answer, or ``auto``.
        cut: whether the responses come without their thinking.
    """
    from l2_harness.answers import opens_thinking

    if traces["answer"].notna().any():
        return [None if pd.isna(answer) else str(answer) for answer in traces["answer"]]
    return [
        vote_answer(
            str(row.response),
            row.doc,
            answer_kind(row.doc, said),
            opened=not cut and opens_thinking(row.prompt),
            truncated=row.finish_reason == "length",
        )
        for row in traces.itertuples(index=False)
    ]
