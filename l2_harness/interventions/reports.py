"""Counters and events of a response, and their sums over a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from l2_harness.interventions.step_log import LogKey, LogRows
from l2_harness.norms.trace_schema import TraceEvent

#: What is counted for a response and a layer, in the order of reports.
#:
#: - rows: response rows that the layer's output was handed over for.
#: - peaks: rows with a finite norm above τ.
#: - gates_opened: rows at which a layer ran again; passes_run, passes_accepted: the passes.
#: - bank_size: states in the bank at the end.
#: - streaks: runs of low norms that reached the patience; injections: states mixed in.
#: - suppressed: rows that were edited.
#: - non_finite: states, of layers and of passes, that are not finite.
#: - *_credits_left: edits that a control is behind its trigger; of ``suppression=shuffled`` at
#:   the layer that they were handed to.
COUNTERS = (
    "rows",
    "peaks",
    "gates_opened",
    "passes_run",
    "passes_accepted",
    "bank_size",
    "streaks",
    "injections",
    "suppressed",
    "non_finite",
    "recursion_credits_left",
    "steering_credits_left",
    "suppression_credits_left",
)

#: Kind of the events that a trace keeps the counters in.
COUNTED = "counters"
#: Kinds of log entries that only count, and what they count as.
_PLAIN_COUNTS = {
    "streak": "streaks",
    "injection": "injections",
    "suppression": "suppressed",
}
#: Kinds of log entries that are events, in the order in which they happen at a row: their
#: columns after the value, for the detail.
_DETAILS: dict[str, tuple[str, ...]] = {
    "recursion": ("passes", "norm", "threshold"),
    "entropy": ("passes", "entropy"),
    "suppression": ("threshold",),
    "injection": ("norm", "bank_norm"),
}
_ORDER = {kind: place for place, kind in enumerate(_DETAILS)}


class RowCounts(NamedTuple):
    """What a counter counted: at ``rows``, by these ``numbers``, (n,) integers each."""

    rows: np.ndarray
    numbers: np.ndarray

    def before(self, row: int) -> int:
        """The sum over the rows before one."""
        return int(self.numbers[self.rows < row].sum())


#: layer → counter → where it counted.
Counted = Mapping[int, Mapping[str, RowCounts]]


@dataclass(frozen=True)
class ResponseReport:
    """What the interventions did to one response.

    Attributes:
        counters: layer → counter (:data:`COUNTERS`) → number.
        events: by row, layer and the order of the edits. Kinds and values: ``recursion`` and
            ``entropy``, passes accepted; ``injection``, the cosine; ``suppression``, the norm
            of the layer's own output. ``detail`` is JSON.
        counted: those of the counters that count rows, row by row.
    """

    counters: dict[int, dict[str, int]]
    events: tuple[TraceEvent, ...]
    counted: Counted = field(default_factory=dict, compare=False, repr=False)

    def cut(self, n_rows: int) -> ResponseReport:
        """The same of the first ``n_rows`` rows: an engine may run more of them than it keeps.

        What holds at the end alone (``bank_size``, ``*_credits_left``) stays as it was at the
        last row that ran.
        """
        if all(counts["rows"] <= n_rows for counts in self.counters.values()):
            return self
        counters = {}
        for layer, counts in self.counters.items():
            own = {
                name: where.before(n_rows) for name, where in self.counted.get(layer, {}).items()
            }
            counters[layer] = counts | own | {"rows": min(counts["rows"], n_rows)}
        events = tuple(event for event in self.events if event.row < n_rows)
        return ResponseReport(counters, events, self.counted)


#: Technique → the counter of its edits.
EDITS = {
    "recursion": "passes_accepted",
    "steering": "injections",
    "suppression": "suppressed",
}


@dataclass
class InterventionTotals:
    """Counters summed over responses, by layer.

    Attributes:
        acted: technique → in how many responses it has edited something.
    """

    responses: int = 0
    layers: dict[int, dict[str, int]] = field(default_factory=dict)
    acted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EDITS, 0))

    def add(self, counters: Mapping[int, Mapping[str, int]]) -> None:
        """Count one response, by the counters of its layers; those that are 0 may be left out."""
        self.responses += 1
        self._add(counters)
        for technique, name in EDITS.items():
            self.acted[technique] += any(counts.get(name) for counts in counters.values())

    @classmethod
    def merged(cls, totals: Iterable[InterventionTotals]) -> InterventionTotals:
        """The totals of several processes that worked on different responses."""
        result = cls()
        for part in totals:
            result.responses += part.responses
            result._add(part.layers)
            for technique, number in part.acted.items():
                result.acted[technique] += number
        return result

    def as_dict(self) -> dict[str, Any]:
        """For a result file: responses, sums over layers, and sums by layer."""
        by_layer = {str(layer): dict(counts) for layer, counts in sorted(self.layers.items())}
        whole = {name: self.total(name) for name in COUNTERS}
        return {
            "responses": self.responses,
            "acted_on": dict(self.acted),
            "all_layers": whole,
            "layers": by_layer,
        }

    def line(self) -> str:
        """One line that says what was done, over all layers."""
        parts = [f"{name.replace('_', ' ')} {self.total(name)}" for name in COUNTERS]
        return f"interventions on {self.responses} responses: " + ", ".join(parts)

    def total(self, name: str) -> int:
        """A counter over all layers."""
        return sum(counts[name] for counts in self.layers.values())

    def _add(self, layers: Mapping[int, Mapping[str, int]]) -> None:
        for layer, counts in layers.items():
            mine = self.layers.setdefault(layer, no_counts())
            for name, number in counts.items():
                mine[name] += number


def told(report: ResponseReport, n_tokens: int) -> list[TraceEvent]:
    """A response's events as a trace keeps them, its counters among them.

    Both are cut at the response's length. The counters of a layer are an event of kind
    ``counters`` at the last row: ``detail`` is JSON with those that are not 0.

    Raises:
        RuntimeError: a monitored layer was handed fewer rows than the response has.
    """
    report = report.cut(n_tokens)
    events = list(report.events)
    for layer, counts in report.counters.items():
        # EGLR counts under the last layer, which need not be a monitored one
        if counts["rows"] not in (0, n_tokens):
            raise RuntimeError(
                f"layer {layer} handed over {counts['rows']} rows of a response of {n_tokens} "
                "tokens, so what was done to it cannot be trusted."
            )
        kept = {name: number for name, number in counts.items() if number}
        events.append(TraceEvent(n_tokens - 1, layer, COUNTED, None, json.dumps(kept)))
    return events


def recorded_counters(events: Iterable[TraceEvent]) -> dict[int, dict[str, int]]:
    """Layer → counter → number, of the events of kind ``counters`` that :func:`told` makes."""
    return {
        event.layer: json.loads(event.detail or "{}") for event in events if event.kind == COUNTED
    }


def no_counts() -> dict[str, int]:
    """Every counter at 0."""
    return dict.fromkeys(COUNTERS, 0)


def totals(counted: Mapping[str, RowCounts]) -> dict[str, int]:
    """The sums over rows, beside the counters that have none."""
    return no_counts() | {name: int(where.numbers.sum()) for name, where in counted.items()}


def count_and_tell(
    log: Mapping[LogKey, LogRows], slot: int
) -> tuple[dict[int, dict[str, RowCounts]], list[TraceEvent]]:
    """What a log without past responses says of a slot: layer → counter → rows, and events."""
    counted: dict[int, dict[str, RowCounts]] = {}
    events: list[TraceEvent] = []
    for key, rows in log.items():
        own = rows.take(rows.slots == slot)
        counts = counted.setdefault(key.layer, {})
        for name, where in _counts(key.kind, own).items():
            known = counts.get(name)
            counts[name] = where if known is None else _both(known, where)
        if key.kind in _DETAILS:
            events += _events(key, own)
    return counted, sorted(events, key=lambda e: (e.row, e.layer, _ORDER[e.kind]))


def _counts(kind: str, own: LogRows) -> dict[str, RowCounts]:
    if kind in _PLAIN_COUNTS:
        return {_PLAIN_COUNTS[kind]: _once(own.rows)}
    if kind == "row":
        norms, tau = own.columns
        finite = np.isfinite(norms)
        return {
            "peaks": _once(own.rows[finite & (norms > tau)]),
            "non_finite": _once(own.rows[~finite]),
        }
    passes, accepted, non_finite = own.columns[:3]
    return {
        "gates_opened": _once(own.rows),
        "passes_run": RowCounts(own.rows, passes),
        "passes_accepted": RowCounts(own.rows, accepted),
        "non_finite": RowCounts(own.rows, non_finite),
    }


def _once(rows: np.ndarray) -> RowCounts:
    return RowCounts(rows, np.ones(len(rows), dtype=np.int64))


def _both(first: RowCounts, second: RowCounts) -> RowCounts:
    return RowCounts(*map(np.concatenate, zip(first, second, strict=True)))


def _events(key: LogKey, own: LogRows) -> list[TraceEvent]:
    columns = own.columns
    if key.kind in ("recursion", "entropy"):
        passes, accepted, _, *rest = columns
        columns = (accepted, passes, *rest)
    names = _DETAILS[key.kind]
    details = _details(names, columns[1:]) if len(own.rows) else []
    table = zip(own.rows.tolist(), columns[0].tolist(), details, strict=True)
    return [TraceEvent(row, key.layer, key.kind, float(value), d) for row, value, d in table]


def _details(names: Sequence[str], columns: Sequence[np.ndarray]) -> list[str]:
    """A JSON object a row; there may be one a token, so each column is written at once."""
    texts = [_numbers(column) for column in columns]
    pairs = ", ".join(f'"{name}": %s' for name in names)
    return ["{" + pairs % row + "}" for row in zip(*texts, strict=True)]


def _numbers(column: np.ndarray) -> list[str]:
    """As short as their type allows, in JSON's words."""
    texts = column.tolist() if column.dtype.kind in "iu" else column.astype(str).tolist()
    return [_NOT_FINITE.get(text, str(text)) for text in texts]


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
