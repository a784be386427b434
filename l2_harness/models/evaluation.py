"""What belongs to one evaluation: its seed, what it records, what it came to.

A model that is made once may be evaluated several times; each time starts anew. Knows no engine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from l2_harness.config import ConfigError
from l2_harness.config.model_args import ModelConfig
from l2_harness.interventions import ResponseReport
from l2_harness.interventions.reports import COUNTED, recorded_counters
from l2_harness.models.broken_numbers import BrokenNumbers
from l2_harness.models.choice import SampleChooser
from l2_harness.models.closing_words import broken_warnings, closing_line, vote_warnings, warnings
from l2_harness.models.recorder import RunRecorder
from l2_harness.models.requests import RequestKey
from l2_harness.models.sample_source import SampleSource
from l2_harness.models.tally import Tally
from l2_harness.models.terminal_log import terminal_log

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPlan:
    """What is the same in all evaluations of a model.

    Attributes:
        config: all of our arguments.
        settings: all that determines the responses, but for the seed.
        layers: the monitored layers; none where nothing can be recorded.
        rank: this process's number over all processes of the run.
        cuts_thinking: whether lm-eval gets the texts without their thinking.
    """

    config: ModelConfig
    settings: Mapping[str, Any]
    layers: Sequence[int]
    rank: int = 0
    cuts_thinking: bool = False


class Evaluation:
    """The state of one evaluation.

    Args:
        plan: what it shares with others of the same model.
        seed: of the responses' random streams.
        may_change: whether the seed may be another one when it begins, so that a folder of
            samples that does not fit is no error yet.

    Attributes:
        recorder: None where nothing is recorded.
        source: where samples come from that another run drew, or None.
        chooser: chooses among samples.
        broken: tells of logits that are not finite.
        tally: what this process has counted.
        whole: what all processes have, once they were asked; None before.

    Raises:
        ConfigError: ``samples_from`` holds no run that sampled in the same way.
    """

    def __init__(self, plan: RunPlan, seed: int, may_change: bool = False) -> None:
        config, settings = plan.config, {**plan.settings, "seed": seed}
        self.seed = seed
        self.tally = Tally()
        self.broken = BrokenNumbers(self.tally, plan.layers)
        self.whole: Tally | None = None
        self.recorder: RunRecorder | None = None
        self.source: SampleSource | None = None
        if config.recording.enabled and plan.layers:
            self.recorder = RunRecorder(config.recording, plan.layers, settings, plan.rank)
            self.tally.norms = self.recorder.summary
            self.source = self._sample_source(config, settings, may_change)
        self.chooser = SampleChooser(
            config.selection, config.decoding.num_samples, seed, plan.cuts_thinking
        )
        self.tally.votes = self.chooser.votes
        self._config = config

    def _sample_source(
        self, config: ModelConfig, settings: Mapping[str, Any], may_change: bool
    ) -> SampleSource | None:
        folder = config.recording.samples_from
        if folder is None:
            return None
        try:
            return SampleSource(folder, settings, config.selection.keeps_states)
        except ConfigError:
            if not may_change:
                raise
            return None

    def needs_renewal(self, seed: int) -> bool:
        """Whether an evaluation of this seed, nothing of which has run, is another one."""
        asked = self._config.recording.samples_from is not None
        return self.seed != seed or (asked and self.source is None)

    def count_generated(self, n_tokens: int, report: ResponseReport | None) -> None:
        """Count a response that was decoded now."""
        self.tally.lengths.append(n_tokens)
        if report is not None:
            self.tally.interventions.add(report.cut(n_tokens).counters)

    def count_scored(self, n_tokens: int, report: ResponseReport) -> None:
        """Count the interventions on a continuation that was scored now."""
        self.tally.interventions.add(report.cut(n_tokens).counters)

    def count_recalled(self, keys: Sequence[RequestKey], lengths: Iterable[int]) -> None:
        """Count responses that an earlier run left, with what it did to them.

        Args:
            keys: theirs.
            lengths: tokens of those that were generated.
        """
        self.tally.recalled += len(keys)
        self.tally.lengths += lengths
        acting = self._config.interventions
        if self.recorder is None or not acting.enabled or not keys:
            return
        if acting.threshold.threshold_scope == "pooled":
            logger.warning(
                "threshold_scope=pooled: the norms of what an earlier run left (%d) are not among "
                "those that make the thresholds now, so that the rest gets other events than in a "
                "run without interruption",
                len(keys),
            )
        for events in self.recorder.recorded_events(keys, COUNTED):
            if events:  # a score that was recorded without interventions has none
                self.tally.interventions.add(recorded_counters(events))

    def say_what_it_came_to(self) -> None:
        """One line on the terminal, and a warning for each technique that hardly acted."""
        tally, acting = self.whole or self.tally, self._config.interventions
        line = closing_line(tally, acting)
        if line is not None:
            terminal_log.info("%s", line)
        for warning in (*broken_warnings(tally), *vote_warnings(tally, self._config.selection)):
            logger.warning("%s", warning)
        if acting.enabled:
            logger.info("%s", tally.interventions.line())
            for warning in warnings(tally, acting):
                logger.warning("%s", warning)

    def info(self) -> dict[str, Any]:
        """What was recorded and done, for lm-eval's result file."""
        config, tally = self._config, self.whole or self.tally
        info: dict[str, Any] = {
            "record": "off" if self.recorder is None else config.recording.record,
            "num_samples": config.decoding.num_samples,
            "seed": self.seed,
        }
        if config.selection.enabled:
            info |= {
                "selection": config.selection.selection,
                "selection_on": config.selection.selection_on,
            }
        if tally.broken:
            info["not_finite"] = tally.broken
        if tally.votes.questions:
            info["votes"] = asdict(tally.votes)
        if self.recorder is not None and tally.norms is not None:
            info |= {
                "run_id": self.recorder.run_id,
                "trace_dir": config.recording.trace_dir,
                **tally.norms.as_dict(),
            }
        if config.interventions.enabled:
            info["interventions"] = {
                "settings": config.interventions.as_dict(),
                **tally.interventions.as_dict(),
            }
        return info
