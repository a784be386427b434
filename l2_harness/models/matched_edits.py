"""What the run that random controls match did to each response, read from its traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.config import ConfigError
from l2_harness.config.interventions import InterventionConfig
from l2_harness.config.techniques import TECHNIQUES
from l2_harness.interventions.edit_plans import RecordedEdits
from l2_harness.norms import read_run_settings, read_trace_table
from l2_harness.norms.trace_samples import SampleKey
from l2_harness.paths import expanded


class MatchedEdits:
    """The states that one recorded run changed.

    Args:
        config: of the run whose controls match it; ``matched_to`` is the folder of that run,
            which recorded its tokens.
        layers: that it monitors.

    Raises:
        ConfigError: no such run, several of them, or one of another technique or other layers.
    """

    def __init__(self, config: InterventionConfig, layers: Sequence[int]) -> None:
        trace_dir = config.matching.matched_to
        assert trace_dir is not None
        self._where = f"matched_to={trace_dir!r}"
        folder = expanded(trace_dir)
        runs = sorted(path.stem.removeprefix("run-") for path in folder.glob("run-*.json"))
        if len(runs) != 1:
            raise ConfigError(
                f"{self._where} holds {len(runs)} runs and is to hold one: the trace_dir of the "
                "technique's own run, with record=tokens."
            )
        settings = read_run_settings(folder, runs[0])
        self._check(settings, config, layers)
        self.run_id = runs[0]
        kinds = {event: name for name, (_, event) in _matches(config).items()}
        self._edits = _read(folder, runs[0], int(settings.get("num_samples") or 1), kinds)

    def of(self, request_hash: str, stream: int) -> RecordedEdits:
        """What was done to one response.

        Raises:
            ConfigError: that run has no such response.
        """
        found = self._edits.get(SampleKey(request_hash, stream))
        if found is None:
            raise ConfigError(
                f"{self._where} has no response to one of these requests, so there is nothing to "
                "match. Run the technique over the same task, documents and generation settings."
            )
        return found

    def _check(
        self, settings: Mapping[str, Any], config: InterventionConfig, layers: Sequence[int]
    ) -> None:
        for technique, (own, _) in _matches(config).items():
            there = settings.get(technique, "off")
            if there != own:
                raise ConfigError(
                    f"{self._where} is a run with {technique}={there}; {technique}=random matches "
                    f"one with {technique}={own}."
                )
        there_layers = settings.get("monitored_layers")
        if list(there_layers or ()) != list(layers):
            raise ConfigError(
                f"{self._where} monitored the layers {there_layers}, and this run monitors "
                f"{list(layers)}. Pass the same layers to both."
            )


def _matches(config: InterventionConfig) -> dict[str, tuple[str, str]]:
    """Technique → the kind that its random control matches, and the kind of its events."""
    found = {name: TECHNIQUES[name].matches for name in config.random_controls()}
    return {name: own for name, own in found.items() if own is not None}


def _read(
    folder: Path, run_id: str, num_samples: int, kinds: Mapping[str, str]
) -> dict[SampleKey, RecordedEdits]:
    names = ["request_hash", "repeat", "sample", "tokens", "events"]
    table = read_trace_table(folder, run_id=run_id, columns=names)
    lengths = table["tokens"].combine_chunks().value_lengths().to_pylist()
    columns = (table[name].to_pylist() for name in ("request_hash", "repeat", "sample", "events"))
    return {
        SampleKey(request, repeat * num_samples + sample): RecordedEdits(
            n_rows, _rows(events or (), kinds)
        )
        for request, repeat, sample, events, n_rows in zip(*columns, lengths, strict=True)
    }


def _rows(
    events: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]
) -> dict[tuple[str, int], np.ndarray]:
    """(technique, layer) → the rows changed; a recursion without an accepted pass changed none."""
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in events:
        technique = kinds.get(event["kind"])
        if technique is not None and (technique != "recursion" or event["value"]):
            found[technique, event["layer"]].append(event["row"])
    return {key: np.array(sorted(rows), dtype=np.int64) for key, rows in found.items()}
