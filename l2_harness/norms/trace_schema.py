"""What one recorded response holds, and how the columns look in a trace file.

A trace file is Parquet, a row a response. Everything with a row index counts from 0: row 0 is
the forward pass at the last prompt position, which produced ``tokens[0]``. The norms of a
response with T rows and L layers lie in one flat list of T·L float32, row after row, so that
they read back as a (T, L) array without a copy: ``norms.reshape(len(tokens), len(layers))``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2_harness.norms import trace_checks as check
from l2_harness.norms.columns import (
    COUNT,
    EVENTS,
    FLAG,
    FLOATS,
    LARGE_COUNT,
    LAYERS,
    ROW,
    SCORES,
    TEXT,
    TOKENS,
    WORD,
    Column,
    column,
    columns_of,
)
from l2_harness.norms.signals import SIGNALS, HasSignals

if TYPE_CHECKING:
    import pyarrow as pa

REQUEST_TYPES = ("generate_until", "loglikelihood", "loglikelihood_rolling")
FINISH_REASONS = ("stop", "length", "eos")


class TraceWarning(UserWarning):
    """Something in a trace directory was left out, or isn't what it seems; names the file."""


class TraceKey(NamedTuple):
    """What tells one response from all others; traces are sorted by it.

    ``idx`` is lm-eval's Instance.idx (the choice within a multiple-choice document),
    ``window`` the part of a loglikelihood_rolling text, ``repeat`` the number of the copy that
    lm-eval made of a request, ``sample`` one of the responses sampled for that copy.
    """

    run_id: str
    task: str
    request_type: str
    doc_id: int
    idx: int
    window: int
    repeat: int
    sample: int


class ResumeKey(NamedTuple):
    """A response within one run, and the digest of the request that it answers."""

    task: str
    request_type: str
    doc_id: int
    idx: int
    window: int
    repeat: int
    sample: int
    request_hash: str


@dataclass(frozen=True)
class TraceEvent:
    """Something a technique did at one row and layer.

    Attributes:
        row: index of the response row, from 0.
        layer: index of the decoder layer.
        kind: such as recursion, injection or suppression.
        value: one number that the kind defines, or None.
        detail: anything more, as text (JSON by preference), or None.
    """

    row: int
    layer: int
    kind: str
    value: float | None = None
    detail: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class TraceRecord(HasSignals):
    """One response of T ≥ 1 tokens, with its norms at L monitored layers: a row of a trace.

    Arrays are copied and made read-only. In texts, lone surrogates, which UTF-8 can't hold,
    become U+FFFD, and two that make a pair become the character they stand for. Each column's
    meaning stands beside it; :class:`TraceKey` says what tells responses apart, and the hashes
    are :func:`~l2_harness.norms.hash_prompt`'s and :func:`~l2_harness.norms.hash_request`'s.

    Raises:
        ValueError: a column that is out of range or doesn't fit the others; it is named.
    """

    run_id: str = column(WORD, "of the run; part of file names", check=check.run_id_column)
    task: str = column(WORD, "lm-eval's name", check=check.task)
    request_type: str = column(
        WORD, "generate_until, loglikelihood or …_rolling", check=check.one_of(REQUEST_TYPES)
    )
    doc_id: int = column(LARGE_COUNT, "of the document, over the whole set", check=check.count)
    idx: int = column(COUNT, "of the document's choice", default=0, check=check.count)
    window: int = column(COUNT, "part of a long rolling text", default=0, check=check.count)
    repeat: int = column(COUNT, "which of lm-eval's copies", default=0, check=check.count)
    sample: int = column(COUNT, "which of the copy's samples", default=0, check=check.count)
    prompt_hash: str = column(WORD, "digest of the prompt", check=check.hex_digest)
    request_hash: str = column(WORD, "digest of all of the request", check=check.hex_digest)
    prompt_tokens: int = column(COUNT, "tokens of the prompt", check=check.count)
    tokens: Any = column(
        TOKENS, "(T,) the last being the one that ended the response", check=check.token_ids
    )
    text: str = column(TEXT, "the raw response, thinking included", check=check.text)
    response: str | None = column(
        TEXT,
        "what lm-eval gets of it, thinking and stop string cut; null for a loglikelihood",
        default=None,
        check=check.optional(check.text),
    )
    answer: str | None = column(
        TEXT,
        "its own answer; null where it has none, or was cut off before it",
        default=None,
        check=check.optional(check.text),
        since=2,
    )
    finish_reason: str | None = column(
        WORD, "stop, length or eos; null, and only then, for a loglikelihood", default=None
    )
    thinking_end: int | None = column(
        ROW, "row of the token that ended the thinking, or null", default=None
    )
    layers: Any = column(LAYERS, "(L,) the monitored layers", check=check.layer_ids)
    norms: Any = column(FLOATS, "(T, L) float32, row after row, or null", default=None)
    signals: Mapping[str, Any] = field(default_factory=dict)
    norm_mean: Any = column(
        FLOATS, "(L,) the mean over rows; taken from norms if not given", default=None
    )
    events: Sequence[TraceEvent] = column(EVENTS, "what techniques did, by row", default=())
    scores: Mapping[str, float] = column(SCORES, "name → number", default={}, check=check.scores)
    chosen: bool = column(
        FLAG,
        "whether lm-eval got this response; of a request that was interrupted between its "
        "samples, none is",
        default=True,
        check=check.flag,
    )

    def __post_init__(self) -> None:
        for spec in columns_of(type(self)):
            if spec.check is not None:
                self._set(spec.name, spec.check(spec.name, getattr(self, spec.name)))
        self._check_rows()
        self._check_layers()

    @property
    def key(self) -> TraceKey:
        """What tells this response from all others."""
        return TraceKey(*(getattr(self, name) for name in TraceKey._fields))

    @property
    def resume_key(self) -> ResumeKey:
        """What a rerun looks this response up by."""
        return ResumeKey(*(getattr(self, name) for name in ResumeKey._fields))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_rows(self) -> None:
        rows = len(self.tokens)
        unknown = [name for name in self.signals if name not in SIGNALS]
        if unknown:
            raise ValueError(f"signals={unknown} are not declared: {', '.join(SIGNALS.names)} are.")
        checked = {name: check.per_row(name, v, rows) for name, v in self.signals.items()}
        self._set("signals", checked)
        self._set("events", tuple(check.event(event, rows) for event in self.events))
        if self.thinking_end is not None:
            self._set("thinking_end", check.row("thinking_end", self.thinking_end, rows))
        if self.request_type == "generate_until":
            check.one_of(FINISH_REASONS)("finish_reason", self.finish_reason)
        elif self.finish_reason is not None:
            raise ValueError(
                f"finish_reason={self.finish_reason!r} on a {self.request_type} request, "
                "which ends nowhere: pass None."
            )

    def _check_layers(self) -> None:
        n_layers = len(self.layers)
        self._set("norms", check.per_row("norms", self.norms, len(self.tokens), n_layers))
        mean = self.norm_mean
        if mean is None and self.norms is not None:
            mean = self.norms.mean(axis=0, dtype=np.float64)
        self._set("norm_mean", check.per_layer("norm_mean", mean, n_layers))


def trace_columns() -> tuple[Column, ...]:
    """The columns of a trace file, in order."""
    return columns_of(TraceRecord)


def trace_schema() -> pa.Schema:
    """The types of the columns, in order."""
    import pyarrow as pa

    return pa.schema({column.name: column.kind.arrow() for column in trace_columns()})


SCHEMA_VERSION = max(column.since for column in trace_columns())
"""Raised by one when a column changes its meaning or type, or one is added."""
