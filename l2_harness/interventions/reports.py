"""Counters and events of a response, and their sums over a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

from l2_harness.config.technique import ROW_INDEX, LogKind
from l2_harness.config.techniques import counters, dose_means, edit_counters, log_kinds
from l2_harness.interventions.dose import doses
from l2_harness.interventions.row_counts import RowCounts
from l2_harness.interventions.step_log import ROW, LogKey, LogRows
from l2_harness.norms.trace_schema import TraceEvent

#: Kind of the events that a trace keeps the counters in.
COUNTED = "counters"


#: layer → counter → where it counted.
Counted = Mapping[int, Mapping[str, RowCounts]]


@dataclass(frozen=True)
class ResponseReport:
    """What the interventions did to one response.

    Attributes:
        counters: layer → counter (:func:`~l2_harness.config.techniques.counters`) → number.
        events: by row, layer and the order of the edits. Their kinds and values are what
            :func:`~l2_harness.config.techniques.event_kinds` says; ``detail`` is JSON.
        counted: those of the counters that count rows, row by row.
        norms: layer → the norms of its own output, row by row.
    """

    counters: dict[int, dict[str, float]]
    events: tuple[TraceEvent, ...]
    counted: Counted = field(default_factory=dict, compare=False, repr=False)
    norms: Mapping[int, RowCounts] = field(default_factory=dict, compare=False, repr=False)

    def cut(self, n_rows: int) -> ResponseReport:
        """The same of the first ``n_rows`` rows: an engine may run more of them than it keeps.

        What holds at the end alone (``bank_size``, ``*_credits_left``) stays as it was at the
        last row that ran.
        """
        if all(counts["rows"] <= n_rows for counts in self.counters.values()):
            return self
        counters = {}
        for layer, counts in self.counters.items():
            counted = self.counted.get(layer, {})
            own = {name: where.before(n_rows) for name, where in counted.items()}
            own |= doses(counted, self.norms.get(layer), n_rows)
            counters[layer] = counts | own | {"rows": min(counts["rows"], n_rows)}
        events = tuple(event for event in self.events if event.row < n_rows)
        return ResponseReport(counters, events, self.counted, self.norms)

    def as_plain(self) -> dict[str, Any]:
        """For another process, as JSON can say it; what was counted row by row stays here."""
        return {"counters": self.counters, "events": [astuple(event) for event in self.events]}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> ResponseReport:
        """What :meth:`as_plain` gave, through JSON."""
        counters = {int(layer): counts for layer, counts in plain["counters"].items()}
        return cls(counters, tuple(TraceEvent(*event) for event in plain["events"]))


@dataclass
class InterventionTotals:
    """Counters summed over responses, by layer.

    Attributes:
        acted: technique → in how many responses it has edited something.
    """

    responses: int = 0
    layers: dict[int, dict[str, float]] = field(default_factory=dict)
    acted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(edit_counters(), 0))

    def add(self, counters: Mapping[int, Mapping[str, float]]) -> None:
        """Count one response, by the counters of its layers; those that are 0 may be left out."""
        self.responses += 1
        self._add(counters)
        for technique, name in edit_counters().items():
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
        """For a result file: responses, mean doses, sums over layers, and sums by layer."""
        by_layer = {str(layer): dict(counts) for layer, counts in sorted(self.layers.items())}
        whole = {name: self.total(name) for name in counters()}
        return {
            "responses": self.responses,
            "acted_on": dict(self.acted),
            "dose": dose_means(whole),
            "all_layers": whole,
            "layers": by_layer,
        }

    def line(self) -> str:
        """One line that says what was done, over all layers."""
        parts = [f"{name.replace('_', ' ')} {self.total(name):.12g}" for name in counters()]
        return f"interventions on {self.responses} responses: " + ", ".join(parts)

    def total(self, name: str) -> float:
        """A counter over all layers."""
        return sum(counts[name] for counts in self.layers.values())

    def _add(self, layers: Mapping[int, Mapping[str, float]]) -> None:
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


def recorded_counters(events: Iterable[TraceEvent]) -> dict[int, dict[str, float]]:
    """Layer → counter → number, of the events of kind ``counters`` that :func:`told` makes."""
    return {
        event.layer: json.loads(event.detail or "{}") for event in events if event.kind == COUNTED
    }


def no_counts() -> dict[str, float]:
    """Every counter at 0."""
    return dict.fromkeys(counters(), 0)


def count_and_tell(log: Mapping[LogKey, LogRows]) -> ResponseReport:
    """What the log says of a response, but for what layers hold at the end."""
    counted: dict[int, dict[str, RowCounts]] = {}
    norms: dict[int, RowCounts] = {}
    events: list[TraceEvent] = []
    kinds = log_kinds()
    for key, own in log.items():
        counts = counted.setdefault(key.layer, {})
        if key.kind == ROW:
            norms[key.layer] = RowCounts(own.rows, own.columns[0])
        found = _row_counts(own) if key.kind == ROW else _counts(kinds[key.kind], own)
        for name, where in found.items():
            known = counts.get(name)
            counts[name] = where if known is None else known.and_then(where)
        if key.kind in kinds:
            events += _events(kinds[key.kind], key.layer, own)
    order = {name: place for place, name in enumerate(kinds)}
    none = no_counts()
    counters = {
        layer: none
        | {name: where.before() for name, where in counts.items()}
        | doses(counts, norms.get(layer))
        for layer, counts in counted.items()
    }
    events.sort(key=lambda e: (e.row, e.layer, order[e.kind]))
    return ResponseReport(counters, tuple(events), counted, norms)


def _row_counts(own: LogRows) -> dict[str, RowCounts]:
    norms, tau = own.columns
    finite = np.isfinite(norms)
    peaks = finite & (norms > tau)
    return {
        "peaks": RowCounts.once(own.rows[peaks]),
        "editable_rows": RowCounts.once(own.rows[own.may_edit]),
        "editable_peaks": RowCounts.once(own.rows[peaks & own.may_edit]),
        "non_finite": RowCounts.once(own.rows[~finite]),
    }


def _counts(kind: LogKind, own: LogRows) -> dict[str, RowCounts]:
    columns = dict(zip(kind.columns, own.columns, strict=True)) | {ROW_INDEX: own.rows}
    found = {name: _counted(own.rows, of, columns) for name, of in kind.counts.items()}
    if kind.edited is not None:
        edited = columns[kind.edited] > 0
        columns = {name: values[edited] for name, values in columns.items()}
        for name, of in kind.edit_counts.items():
            found[name] = _counted(columns[ROW_INDEX], of, columns)
    return found


def _counted(rows: np.ndarray, of: str | None, columns: Mapping[str, np.ndarray]) -> RowCounts:
    return RowCounts.once(rows) if of is None else RowCounts(rows, columns[of])


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
