"""Everything that is measured of one task, before a word is written about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.norms.held_out import HeldOutChoice
from l2_harness.analysis.norms.measure import FIRST_ROWS, Measured, measure
from l2_harness.analysis.norms.norm_statistics import STATISTICS
from l2_harness.analysis.norms.outlier_norms import OutlierFreeNorms, read_outlier_free
from l2_harness.analysis.norms.pairing import Pairing, pair_tasks
from l2_harness.analysis.norms.relations import choices_of, scopes_of, signals_of, table_of
from l2_harness.analysis.norms.responses import read_groups
from l2_harness.config.errors import ConfigError
from l2_harness.config.layers import LayerSelection
from l2_harness.lm_eval_files.judging import Judging
from l2_harness.lm_eval_files.verdicts import (
    Verdicts,
    check_judging,
    verdicts,
    with_documents,
)
from l2_harness.norms import read_run_settings
from l2_harness.statistics.resamples import Resamples

if TYPE_CHECKING:
    import pandas as pd

    from l2_harness.analysis.norms.token_texts import TokenTexts


@dataclass(frozen=True)
class StudyOptions:
    """What is studied, and how.

    Attributes:
        trace_dir: of the run.
        task: which.
        samples: lm-eval's sample file of the same run, or its folder; None: nothing is judged.
        run_id: None where the folder holds one run.
        direct: the task that answers the same questions without thinking.
        states: a folder of captured states, for the norms without outlier dimensions.
        tokenizer: in place of the one that the run's settings name.
        first_rows: how many first rows the second variant leaves out.
        layers: of the recorded layers, those that count; None for all.
        strata: fields of the documents, ``a`` or ``a+b``, to look within.
        resamples: of the bootstrap.
        held_out: the share of questions that choose the layer.
        seed: of everything that is drawn.
        judging: how the task judges.
    """

    trace_dir: Path
    task: str
    samples: Path | None = None
    run_id: str | None = None
    direct: str | None = None
    states: Path | None = None
    tokenizer: str | None = None
    first_rows: int = FIRST_ROWS
    layers: LayerSelection | None = None
    strata: Sequence[str] = ()
    resamples: int = 2000
    held_out: float = 0.5
    seed: int = 0
    judging: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Study:
    """What was measured.

    Attributes:
        options: of the study.
        run_id: of the responses.
        measured: their rows.
        verdicts: which are right; None without a sample file.
        resamples: of the questions, the same for every figure.
        table: a row a figure: ``variant``, ``layer``, ``statistic``, ``outcome``, ``scope``,
            ``measure``, ``control``, ``value`` with ``_low`` and ``_high``, ``p``, ``p_holm``,
            ``responses``, ``questions``.
        signals: the same columns but variant, layer and statistic, of the covariates
            (``covariate``) with correctness; empty without verdicts.
        choices: layer and statistic chosen on held-out questions.
        pairing: with the direct responses; None without.
        notes: what could not be done, and why.
        seconds: by step.
    """

    options: StudyOptions
    run_id: str
    measured: Measured
    verdicts: Verdicts | None
    resamples: Resamples
    table: pd.DataFrame
    signals: pd.DataFrame
    choices: tuple[HeldOutChoice, ...]
    pairing: Pairing | None
    notes: tuple[str, ...]
    seconds: Mapping[str, float]

    def rows(self, **wanted: str) -> pd.DataFrame:
        """The rows of :attr:`table` with these values, such as ``scope="pooled"``."""
        keep = np.ones(len(self.table), dtype=bool)
        for name, value in wanted.items():
            keep &= (self.table[name] == value).to_numpy()
        return self.table[keep].reset_index(drop=True)

    @property
    def subject(self) -> str:
        """The task, and how many responses a question has, where these are several."""
        a_question = len(self.measured.traces) / max(len(self.resamples.labels), 1)
        several = f", {a_question:.3g} responses to a question" if a_question > 1 else ""
        return self.options.task + several

    @property
    def scopes(self) -> list[str]:
        """Pooled, and within what figures are defined."""
        return list(dict.fromkeys(self.table["scope"]))

    def column(self, index: int) -> tuple[int, str]:
        """The layer and statistic of a variable of one variant."""
        layer, statistic = divmod(index, len(STATISTICS))
        return self.measured.layers[layer], STATISTICS[statistic]


def study(options: StudyOptions, judge: Callable[[pd.DataFrame], Verdicts] | None = None) -> Study:
    """Measure a task.

    Args:
        options: what and how.
        judge: from the responses to their verdicts, for those who have their own; by default the
            sample file and the task judge.

    Raises:
        ConfigError: an option that does not fit what was recorded.
        FileNotFoundError: no traces, or no sample file of the task.
        ValueError: traces and samples that do not belong together; no norms by row.
    """
    clock, notes = _Clock(), list[str]()
    traces = read_groups(options.trace_dir, options.run_id, options.task)
    run_id = str(traces["run_id"].iat[0])
    if options.samples is not None:
        asked = options.judging.get("filter")
        traces = with_documents(traces, options.samples, options.task, asked)
        judging = Judging(options.task, **options.judging)
        settings = read_run_settings(options.trace_dir, run_id)
        if judge is None:
            check_judging(traces, judging, settings)
    clock.lap("reading responses")
    texts = _token_texts(options, run_id, notes)
    clock.lap("loading the tokenizer")
    measured = measure(
        traces,
        options.trace_dir,
        layers=options.layers,
        first_rows=options.first_rows,
        texts=texts,
        outlier_free=_outlier_free(options, run_id),
    )
    clock.lap("reading and measuring rows")
    found = None
    if judge is not None:
        found = judge(measured.traces)
    elif options.samples is not None:
        found = verdicts(measured.traces, judging, settings)
    clock.lap("judging")
    resamples = Resamples(measured.question, options.resamples, options.seed)
    scopes = scopes_of(measured, options, notes)
    table = table_of(measured, found, scopes, resamples)
    clock.lap("associations")
    choices = () if found is None else choices_of(measured, found, scopes, options)
    clock.lap("choosing on held-out questions")
    pairing = None if options.direct is None else pair_tasks(options, run_id, measured)
    clock.lap("pairing with direct responses")
    signals = signals_of(measured, found, scopes, resamples)
    return Study(
        *(options, run_id, measured, found, resamples, table, signals, choices, pairing),
        tuple(notes),
        clock.seconds,
    )


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._start = now - self._start, now


def _token_texts(options: StudyOptions, run_id: str, notes: list[str]) -> TokenTexts | None:
    from l2_harness.analysis.norms.token_texts import load_token_texts

    try:
        return load_token_texts(options.trace_dir, run_id, options.tokenizer)
    except (ConfigError, FileNotFoundError) as error:
        if options.tokenizer is not None:
            raise
        notes.append(f"Peaks were not told apart by kind of token: {error}")
        return None


def _outlier_free(options: StudyOptions, run_id: str) -> OutlierFreeNorms | None:
    if options.states is None:
        return None
    return read_outlier_free(options.states, run_id, options.task)
