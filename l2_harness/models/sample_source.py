"""Samples that another run drew with the same settings, for a run that only chooses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from l2_harness.config import ConfigError
from l2_harness.config.model_args import affecting
from l2_harness.models.recorded_runs import RecordedRun, differences, recorded_runs
from l2_harness.norms.recorded_responses import RecordedResponse
from l2_harness.norms.trace_samples import SampleKey, recorded_samples
from l2_harness.paths import expanded
from l2_harness.selection.group_scores import ROW_SCORES

#: Settings that say again what others say: of a list of layers the resolved numbers count, which
#: the settings hold as well, and thresholds belong to techniques.
_SAID_ELSEWHERE = ("layers", "thresholds")


def sampling_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's settings that determine its samples and their rows."""
    found = affecting(settings, "responses", "setup")
    return {k: v for k, v in found.items() if k not in _SAID_ELSEWHERE}


class SampleSource:
    """The samples in a trace folder that a run with these settings would have drawn itself.

    Args:
        trace_dir: where the other run wrote, with ``record=tokens``.
        settings: of the run that is to choose.
        keep_states: whether Chain-of-Embedding scores are wanted, which the rows do not give.

    Raises:
        ConfigError: the folder has no run that sampled in the same way.
    """

    def __init__(self, trace_dir: str, settings: Mapping[str, Any], keep_states: bool) -> None:
        self._trace_dir = expanded(trace_dir)
        self._keep_states = keep_states
        self.runs: dict[str, int] = {}
        others: list[str] = []
        wanted = sampling_settings(settings)
        for run in recorded_runs(self._trace_dir):
            drawn = RecordedRun(run.run_id, sampling_settings(run.settings))
            differing = differences(drawn, wanted)
            if not differing:
                self.runs[run.run_id] = int(run.settings.get("num_samples") or 1)
            others.append(f"run {run.run_id}: {', '.join(differing)}")
        if not self.runs:
            raise ConfigError(_none_there(trace_dir, others))

    def take(
        self, wanted: Collection[SampleKey]
    ) -> Iterator[list[tuple[SampleKey, RecordedResponse]]]:
        """Those of the wanted samples that are there, some at a time."""
        for part in recorded_samples(self._trace_dir, self.runs, wanted):
            yield [(key, self._prepared(sample)) for key, sample in part]

    def _prepared(self, sample: RecordedResponse) -> RecordedResponse:
        """With the scores that rows alone do not give, which a choice may need."""
        scores = {k: v for k, v in sample.scores.items() if k not in ROW_SCORES}
        rows = replace(sample.rows, scores=scores if self._keep_states else {})
        return replace(sample, rows=rows)


def _none_there(trace_dir: str, others: list[str]) -> str:
    if not others:
        return (
            f"samples_from={trace_dir!r} holds no run. Pass the trace_dir of a run with "
            "record=tokens, or leave samples_from out to draw samples."
        )
    return (
        f"samples_from={trace_dir!r} holds no samples that this run would have drawn: "
        f"{'; '.join(others)}. Make the two agree, or leave samples_from out."
    )
