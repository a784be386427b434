"""What one run records: its summary, its trace files, and what an earlier run left there.

Knows responses and files; knows no model, so that every engine can use it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.config import RecordingConfig
from l2_harness.models.requests import RequestKey
from l2_harness.norms import ResumeKey, TraceRecord, TraceWriter, completed_requests
from l2_harness.norms.recorded_responses import recorded_responses
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.summary import NormSummary
from l2_harness.norms.trace_choices import Choice

if TYPE_CHECKING:
    from l2_harness.norms import CompletedResponse

logger = logging.getLogger(__name__)


class RunRecorder:
    """Collects a run's responses and writes them a batch at a time.

    Args:
        config: what to record, and where.
        layers: the monitored layers.
        settings: everything that determines the responses; its digest is the run's id, so
            a rerun of the same settings finds what it left.
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
        self.run_id = run_id(settings)
        self._config = config
        self._layers = tuple(layers)
        self._batch: list[TraceRecord] = []
        self._choices: dict[ResumeKey, Choice] = {}
        self._writer: TraceWriter | None = None
        self._completed: dict[Any, CompletedResponse] = {}
        if config.trace_dir is not None:
            if config.resume:
                self._completed = completed_requests(config.trace_dir, self.run_id)
            self._writer = TraceWriter(config.trace_dir, self.run_id, rank)
            self._writer.describe_run(dict(settings))

    @property
    def keeps_rows(self) -> bool:
        """Whether a rerun finds the rows of what this run writes."""
        return self._writer is not None and self._config.record == "tokens"

    def recall(self, keys: Sequence[RequestKey | None]) -> list[CompletedResponse | None]:
        """What an earlier run of the same settings left for each request, None for most.

        It is part of this run's summary once :meth:`take_over` is told that it is used.
        """
        found = [self._completed.get(key.resume) if key is not None else None for key in keys]
        n_found = sum(response is not None for response in found)
        if n_found:
            logger.info(
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
        if self._config.trace_dir is None:
            return {}
        wanted = [key.resume for key in keys]
        found: dict[ResumeKey, ResponseRows] = {}
        for part in recorded_responses(self._config.trace_dir, self.run_id, wanted, lambda k: k):
            found |= {key: response.rows for key, response in part.items()}
        return found

    def add(self, key: RequestKey, rows: ResponseRows, **columns: Any) -> None:
        """Record one response.

        Args:
            key: the request that it answers.
            rows: its T rows.
            columns: further columns of :class:`~l2_harness.norms.TraceRecord`.
        """
        norm_mean = rows.norms.mean(axis=0, dtype=np.float64)
        self._count(key, len(rows.norms), norm_mean)
        if self._writer is None:
            return
        scores = {**rows.scores, **columns.pop("scores", {})}
        if self._config.record == "tokens":
            columns |= {"norms": rows.norms, "signals": rows.signals}
        record = TraceRecord(
            run_id=self.run_id,
            prompt_hash=key.prompt_hash,
            layers=self._layers,
            norm_mean=norm_mean,
            scores=scores,
            **key.resume._asdict(),
            **columns,
        )
        self._batch.append(record)

    def decide(self, key: RequestKey, scores: Mapping[str, float], chosen: bool) -> None:
        """Record what became known of a response after it had been written."""
        self._choices[key.resume] = Choice(scores, chosen)

    def flush(self) -> None:
        """Write what was added since the last call, as one file that is complete or absent.

        Choices come after the responses that they are of.
        """
        if self._writer is not None:
            self._writer.write(self._batch)
            self._writer.write_choices(self._choices)
        self._batch, self._choices = [], {}

    def _count(self, key: RequestKey, rows: int, norm_mean: np.ndarray) -> None:
        norm_sum = np.asarray(norm_mean, dtype=np.float64) * rows
        self.summary.of_task(key.resume.task).add_sum(rows, norm_sum)


def run_id(settings: Mapping[str, Any]) -> str:
    """A short name of the settings, the same in every process and every rerun."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
