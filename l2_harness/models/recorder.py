"""What one run records: its summary, its trace files, and what an earlier run left there.

Knows responses and files; knows no model, so that every engine can use it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.config import RecordingConfig
from l2_harness.engines.response_end import FinishReason
from l2_harness.models.recorded_runs import RecordedRun, differences, recorded_runs
from l2_harness.models.requests import RequestKey
from l2_harness.models.terminal_log import terminal_log
from l2_harness.norms import ResumeKey, TraceEvent, TraceRecord, TraceWriter, completed_requests
from l2_harness.norms.recorded_responses import recorded_responses
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.summary import NormSummary
from l2_harness.norms.trace_choices import Choice
from l2_harness.norms.trace_events import recorded_events
from l2_harness.norms.trace_files import run_file
from l2_harness.paths import expanded

if TYPE_CHECKING:
    from l2_harness.norms import CompletedResponse

logger = logging.getLogger(__name__)

#: Most differences from an earlier run that are told.
_TOLD = 4


class RunRecorder:
    """Collects a run's responses and writes them a batch at a time.

    Nothing is written before the first of them.

    Args:
        config: what to record, and where.
        layers: the monitored layers.
        settings: everything that determines the responses. A run of the same settings that is
            there already is gone on with; else the digest of them is the run's id.
        rank: this process's number over all processes of the run.
    """

    def __init__(
        self,
        config: RecordingConfig,
        layers: Sequence[int],
        settings: Mapping[str, Any],
        rank: int = 0,
    ) -> None:
        self.summary = NormSummary(layers)
        self._config = config
        self.layers = tuple(layers)
        self._settings = dict(settings)
        self._rank = rank
        self._batch: list[TraceRecord] = []
        self._choices: dict[ResumeKey, Choice] = {}
        self._writer: TraceWriter | None = None
        self._completed: dict[ResumeKey, CompletedResponse] | None = None
        self._runs = recorded_runs(self._folder) if self._writes and self._folder.is_dir() else []
        self._same = next((run for run in self._runs if not differences(run, settings)), None)
        self.run_id = run_id(settings) if self._same is None else self._same.run_id

    @property
    def keeps_rows(self) -> bool:
        """Whether a rerun finds the rows of what this run writes."""
        return self._writes and self._config.record == "tokens"

    def recall(self, keys: Sequence[RequestKey | None]) -> list[CompletedResponse | None]:
        """What an earlier run of the same settings left for each request, None for most.

        It is part of this run's summary once :meth:`take_over` is told that it is used.
        """
        if self._completed is None:
            self._completed = self._left()
        completed = self._completed
        found = [completed.get(key.resume) if key is not None else None for key in keys]
        n_found = sum(response is not None for response in found)
        if n_found:
            terminal_log.info(
                "resuming: %d of %d responses are taken from %s (pass resume=false to run all)",
                n_found,
                len(keys),
                self._config.trace_dir,
            )
        return found

    def take_over(self, key: RequestKey, response: CompletedResponse) -> None:
        """Count a response of an earlier run as one of this run."""
        self._count(key, len(response.tokens), response.norm_mean)

    def recorded_rows(self, keys: Sequence[RequestKey]) -> dict[ResumeKey, ResponseRows]:
        """The rows of responses of an earlier run, without those that were recorded without."""
        if not self._writes:
            return {}
        wanted = [key.resume for key in keys]
        found: dict[ResumeKey, ResponseRows] = {}
        for part in recorded_responses(self._folder, self.run_id, wanted, lambda key: key):
            found |= {key: response.rows for key, response in part.items()}
        return found

    def recorded_events(self, keys: Sequence[RequestKey], kind: str) -> list[list[TraceEvent]]:
        """The events of one kind of responses of an earlier run."""
        if not self._writes or not keys:
            return [[] for _ in keys]
        found = recorded_events(self._folder, self.run_id, [key.resume for key in keys], kind)
        return [found.get(key.resume, []) for key in keys]

    def add(
        self,
        key: RequestKey,
        rows: ResponseRows,
        *,
        prompt_tokens: int,
        tokens: Sequence[int],
        text: str,
        response: str | None = None,
        answer: str | None = None,
        finish_reason: FinishReason | None = None,
        thinking_end: int | None = None,
        events: Sequence[TraceEvent] = (),
        scores: Mapping[str, float] | None = None,
        chosen: bool = True,
    ) -> None:
        """Record one response: the request that it answers, its T rows, and its other columns.

        They are columns of :class:`~l2_harness.norms.TraceRecord`; ``scores`` come beside those of
        the rows.
        """
        norm_mean = rows.norms.mean(axis=0, dtype=np.float64)
        if rows.first_broken is not None:  # norms may be finite where the logits are not
            norm_mean[:] = np.nan
        self._count(key, len(rows.norms), norm_mean)
        if not self._writes:
            return
        record = TraceRecord(
            run_id=self.run_id,
            prompt_hash=key.prompt_hash,
            layers=self.layers,
            norm_mean=norm_mean,
            scores={**rows.scores, **(scores or {})},
            prompt_tokens=prompt_tokens,
            tokens=tokens,
            text=text,
            response=response,
            answer=answer,
            finish_reason=finish_reason,
            thinking_end=thinking_end,
            events=events,
            chosen=chosen,
            norms=rows.norms if self.keeps_rows else None,
            signals=rows.signals if self.keeps_rows else {},
            **key.resume._asdict(),
        )
        self._batch.append(record)

    def decide(self, key: RequestKey, scores: Mapping[str, float], chosen: bool) -> None:
        """Record what became known of a response after it had been written."""
        self._choices[key.resume] = Choice(scores, chosen)

    def flush(self) -> None:
        """Write what was added since the last call, as one file that is complete or absent.

        Choices come after the responses that they are of.
        """
        if self._writes and (self._batch or self._choices):
            if self._writer is None:
                self._writer = self._open()
            self._writer.write(self._batch)
            self._writer.write_choices(self._choices)
        self._batch, self._choices = [], {}

    @property
    def _writes(self) -> bool:
        return self._config.trace_dir is not None

    @property
    def _folder(self) -> Path:
        assert self._config.trace_dir is not None
        return expanded(self._config.trace_dir)

    def _open(self) -> TraceWriter:
        writer = TraceWriter(self._folder, self.run_id, self._rank)
        if not run_file(self._folder, self.run_id).exists():
            writer.describe_run(self._settings)
        return writer

    def _left(self) -> dict[ResumeKey, CompletedResponse]:
        """What an earlier run of these settings left; says so where one of others is there."""
        if not self._writes or not self._config.resume:
            return {}
        if self._same is None:
            self._tell_nearest()
            return {}
        if self._same.is_old:
            terminal_log.info(
                "%s was recorded before a model's configuration, tokenizer and adapters were "
                "looked at: that they are the same still is not known (resume=false runs all)",
                run_file(self._folder, self.run_id),
            )
        return completed_requests(self._folder, self.run_id)

    def _tell_nearest(self) -> None:
        """Why nothing is taken from a folder with runs: what the most similar one has else."""
        if not self._runs:
            return
        compared: list[tuple[RecordedRun, list[str]]] = [
            (run, differences(run, self._settings)) for run in self._runs
        ]
        run, found = min(compared, key=lambda pair: len(pair[1]))
        more = [f"and {len(found) - _TOLD} more"] if len(found) > _TOLD else []
        model_changed = all("=" not in difference for difference in found)
        (logger.warning if model_changed else terminal_log.info)(
            "nothing is taken from %s, where the nearest run (%s) is another: %s",
            self._folder,
            run.run_id,
            "; ".join(found[:_TOLD] + more),
        )

    def _count(self, key: RequestKey, rows: int, norm_mean: np.ndarray) -> None:
        norm_sum = np.asarray(norm_mean, dtype=np.float64) * rows
        self.summary.of_task(key.resume.task).add_sum(rows, norm_sum)


def run_id(settings: Mapping[str, Any]) -> str:
    """A short name of the settings, the same in every process and every rerun."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
