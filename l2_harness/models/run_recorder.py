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
from l2_harness.norms import TraceRecord, TraceWriter, completed_requests
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.summary import NormSummary

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
        self._writer: TraceWriter | None = None
        self._completed: dict[Any, CompletedResponse] = {}
        if config.trace_dir is not None:
            if config.resume:
                self._completed = completed_requests(config.trace_dir, self.run_id)
            self._writer = TraceWriter(config.trace_dir, self.run_id, rank)
            self._writer.describe_run(dict(settings))

    def recall(self, keys: Sequence[RequestKey | None]) -> list[CompletedResponse | None]:
        """What an earlier run of the same settings left for each request, None for most."""
        found = [self._completed.get(key.resume) if key is not None else None for key in keys]
        n_found = sum(response is not None for response in found)
        if n_found:
            logger.info(
                "resuming: %d of %d responses are taken from %s (pass resume=false to run all)",
                n_found,
                len(keys),
                self._config.trace_dir,
            )
        for key, response in zip(keys, found, strict=True):
            if key is not None and response is not None:
                self._count(key, len(response.tokens), response.norm_mean)
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
        if self._config.record == "tokens":
            columns.update(vars(rows))
        record = TraceRecord(
            run_id=self.run_id,
            prompt_hash=key.prompt_hash,
            layers=self._layers,
            norm_mean=norm_mean,
            **key.resume._asdict(),
            **columns,
        )
        self._batch.append(record)

    def flush(self) -> None:
        """Write what was added since the last call, as one file that is complete or absent."""
        if self._writer is not None and self._batch:
            self._writer.write(self._batch)
        self._batch = []

    def _count(self, key: RequestKey, rows: int, norm_mean: np.ndarray) -> None:
        norm_sum = np.asarray(norm_mean, dtype=np.float64) * rows
        self.summary.of_task(key.resume.task).add_sum(rows, norm_sum)


def run_id(settings: Mapping[str, Any]) -> str:
    """A short name of the settings, the same in every process and every rerun."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
