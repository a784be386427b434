"""Counters and events of a response, and their sums over a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from l2_harness.config.technique import LogKind
from l2_harness.config.techniques import counters, log_kinds
from l2_harness.interventions.step_log import ROW, LogKey, LogRows
from l2_harness.norms.trace_schema import TraceEvent


@dataclass(frozen=True)
class ResponseReport:
    """What the interventions did to one response.

    Attributes:
        counters: layer → counter (:func:`~l2_harness.config.techniques.counters`) → number.
        events: by row, layer and the order of the edits. Their kinds and values are what
            :func:`~l2_harness.config.techniques.event_kinds` says; ``detail`` is JSON.
    """

    counters: dict[int, dict[str, int]]
    events: tuple[TraceEvent, ...]


@dataclass
class InterventionTotals:
    """Counters summed over responses, by layer."""

    responses: int = 0
    layers: dict[int, dict[str, int]] = field(default_factory=dict)

    def add(self, report: ResponseReport) -> None:
        """Count one response."""
        self.responses += 1
        self._add(report.counters)

    @classmethod
    def merged(cls, totals: Iterable[InterventionTotals]) -> InterventionTotals:
        """The totals of several processes that worked on different responses."""
        result = cls()
        for part in totals:
            result.responses += part.responses
            result._add(part.layers)
        return result

    def as_dict(self) -> dict[str, Any]:
        """For a result file: responses, sums over layers, and sums by layer."""
        by_layer = {str(layer): dict(counts) for layer, counts in sorted(self.layers.items())}
        whole = {name: self._sum(name) for name in counters()}
        return {"responses": self.responses, "all_layers": whole, "layers": by_layer}

    def line(self) -> str:
        """One line that says what was done, over all layers."""
        parts = [f"{name.replace('_', ' ')} {self._sum(name)}" for name in counters()]
        return f"interventions on {self.responses} responses: " + ", ".join(parts)

    def _sum(self, name: str) -> int:
        return sum(counts[name] for counts in self.layers.values())

    def _add(self, layers: Mapping[int, Mapping[str, int]]) -> None:
        for layer, counts in layers.items():
            mine = self.layers.setdefault(layer, no_counts())
            for name, number in counts.items():
                mine[name] += number


def told(report: ResponseReport, n_tokens: int) -> list[TraceEvent]:
    """A response's events as a trace keeps them, its counters among them.

    The counters of a layer are an event of kind ``counters`` at the last row: ``detail`` is
    JSON with those that are not 0.

    Raises:
        RuntimeError: a monitored layer was handed more or fewer rows than the response has.
    """
    events = list(report.events)
    for layer, counts in report.counters.items():
        # EGLR counts under the last layer, which need not be a monitored one
        if counts["rows"] not in (0, n_tokens):
            raise RuntimeError(
                f"layer {layer} handed over {counts['rows']} rows of a response of {n_tokens} "
                "tokens, so what was done to it cannot be trusted."
            )
        kept = {name: number for name, number in counts.items() if number}
        events.append(TraceEvent(n_tokens - 1, layer, "counters", None, json.dumps(kept)))
    return events


def no_counts() -> dict[str, int]:
    """Every counter at 0."""
    return dict.fromkeys(counters(), 0)


def count_and_tell(
    log: Mapping[LogKey, LogRows], slot: int
) -> tuple[dict[int, dict[str, int]], list[TraceEvent]]:
    """What a log without past responses says of a slot: counters by layer, and events."""
    by_layer: dict[int, dict[str, int]] = {}
    events: list[TraceEvent] = []
    kinds = log_kinds()
    for key, rows in log.items():
        own = rows.take(rows.slots == slot)
        counts = by_layer.setdefault(key.layer, no_counts())
        found = _row_counts(own) if key.kind == ROW else _counts(kinds[key.kind], own)
        for name, number in found.items():
            counts[name] += number
        if key.kind in kinds:
            events += _events(kinds[key.kind], key.layer, own)
    order = {name: place for place, name in enumerate(kinds)}
    return by_layer, sorted(events, key=lambda e: (e.row, e.layer, order[e.kind]))


def _row_counts(own: LogRows) -> dict[str, int]:
    norms, tau = own.columns
    finite = np.isfinite(norms)
    return {"peaks": int((finite & (norms > tau)).sum()), "non_finite": int((~finite).sum())}


def _counts(kind: LogKind, own: LogRows) -> dict[str, int]:
    columns = dict(zip(kind.columns, own.columns, strict=True))
    return {
        counter: len(own.rows) if column is None else int(columns[column].sum())
        for counter, column in kind.counts.items()
    }


def _events(kind: LogKind, layer: int, own: LogRows) -> list[TraceEvent]:
    if kind.value is None or not len(own.rows):
        return []
    columns = dict(zip(kind.columns, own.columns, strict=True))
    details = _details(kind.detail, [columns[name] for name in kind.detail], len(own.rows))
    table = zip(own.rows.tolist(), columns[kind.value].tolist(), details, strict=True)
    return [TraceEvent(row, layer, kind.name, float(value), d) for row, value, d in table]


def _details(
    names: Sequence[str], columns: Sequence[np.ndarray], rows: int
) -> Sequence[str | None]:
    """A JSON object a row; there may be one a token, so each column is written at once."""
    if not names:
        return [None] * rows
    texts = [_numbers(column) for column in columns]
    pairs = ", ".join(f'"{name}": %s' for name in names)
    return ["{" + pairs % row + "}" for row in zip(*texts, strict=True)]


def _numbers(column: np.ndarray) -> list[str]:
    """As short as their type allows, in JSON's words."""
    texts = column.tolist() if column.dtype.kind in "iu" else column.astype(str).tolist()
    return [_NOT_FINITE.get(text, str(text)) for text in texts]


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
