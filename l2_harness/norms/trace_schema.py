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

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 2
"""Raised by one when a column changes its meaning or type, or one is added."""

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
class TraceRecord:
    """One response of T ≥ 1 tokens, with its norms at L monitored layers.

    Arrays are copied and made read-only. In texts, lone surrogates, which UTF-8 can't hold,
    become U+FFFD, and two that make a pair become the character they stand for.

    Attributes:
        run_id: letters, digits, ``.``, ``_`` and ``-``: it is part of file names.
        task, doc_id, idx, window, repeat, sample: see :class:`TraceKey`.
        request_type: generate_until, loglikelihood or loglikelihood_rolling.
        prompt_hash: :func:`~l2_harness.norms.hash_prompt` of the prompt.
        request_hash: :func:`~l2_harness.norms.hash_request`.
        prompt_tokens: how many tokens the prompt has.
        tokens: (T,) int32, the last being the one that ended the response.
        text: the raw response, thinking included; the continuation of a loglikelihood.
        response: what lm-eval gets of it, thinking and stop string cut; None for a loglikelihood.
        answer: what the response answers, as a vote takes it; None where it has no answer, or
            nothing was to be chosen.
        finish_reason: stop, length or eos; None, and only None, for a loglikelihood.
        thinking_end: row of the token that ended the thinking, or None.
        layers: (L,) indices of the monitored layers, all different.
        norms: (T, L) float32, or None.
        logprob: (T,) float32, natural log-probability of each token, or None.
        entropy: (T,) float32, of the distribution each token came from, in nats, or None.
        self_certainty: (T,) float32, or None.
        confidence: (T,) float32, the mean surprisal of the likeliest tokens, in nats, or None.
        norm_mean: (L,) float32, the mean over rows; taken from ``norms`` if not given.
        events: what the techniques did, by row.
        scores: name → number.
        chosen: whether this is the response that lm-eval got. Of a request that was interrupted
            between its samples, none is.

    Raises:
        ValueError: a column that is out of range or doesn't fit the others; it is named.
    """

    run_id: str
    task: str
    doc_id: int
    request_type: str
    prompt_hash: str
    request_hash: str
    prompt_tokens: int
    tokens: Any
    text: str
    layers: Any
    idx: int = 0
    window: int = 0
    repeat: int = 0
    sample: int = 0
    response: str | None = None
    answer: str | None = None
    finish_reason: str | None = None
    thinking_end: int | None = None
    norms: Any = None
    logprob: Any = None
    entropy: Any = None
    self_certainty: Any = None
    confidence: Any = None
    norm_mean: Any = None
    events: Sequence[TraceEvent] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    chosen: bool = True

    def __post_init__(self) -> None:
        self._check_identity()
        self._check_rows()
        self._check_layers()
        self._check_extras()

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

    def _check_identity(self) -> None:
        check.run_id(self.run_id)
        check.one_of("request_type", self.request_type, REQUEST_TYPES)
        check.task(self.task)
        for name in ("doc_id", "idx", "window", "repeat", "sample", "prompt_tokens"):
            self._set(name, check.count(name, getattr(self, name)))
        for name in ("prompt_hash", "request_hash"):
            check.hex_digest(name, getattr(self, name))
        self._set("text", check.text("text", self.text))
        for name in ("response", "answer"):
            if getattr(self, name) is not None:
                self._set(name, check.text(name, getattr(self, name)))

    def _check_rows(self) -> None:
        self._set("tokens", check.token_ids("tokens", self.tokens))
        rows = len(self.tokens)
        for name in ("logprob", "entropy", "self_certainty", "confidence"):
            self._set(name, check.per_row(name, getattr(self, name), rows))
        if self.thinking_end is not None:
            self._set("thinking_end", check.row("thinking_end", self.thinking_end, rows))
        if self.request_type == "generate_until":
            check.one_of("finish_reason", self.finish_reason, FINISH_REASONS)
        elif self.finish_reason is not None:
            raise ValueError(
                f"finish_reason={self.finish_reason!r} on a {self.request_type} request, "
                "which ends nowhere: pass None."
            )

    def _check_layers(self) -> None:
        self._set("layers", check.layer_ids("layers", self.layers))
        n_layers = len(self.layers)
        self._set("norms", check.per_row("norms", self.norms, len(self.tokens), n_layers))
        mean = self.norm_mean
        if mean is None and self.norms is not None:
            mean = self.norms.mean(axis=0, dtype=np.float64)
        self._set("norm_mean", check.per_layer("norm_mean", mean, n_layers))

    def _check_extras(self) -> None:
        rows = len(self.tokens)
        self._set("events", tuple(check.event(event, rows) for event in self.events))
        self._set("scores", check.scores("scores", self.scores))
        self._set("chosen", check.flag("chosen", self.chosen))


def trace_schema() -> pa.Schema:
    """The columns of a trace file, in order.

    Lists have 64-bit offsets: a big run's norms pass 2³¹ values once its parts are together.
    """
    import pyarrow as pa

    def values(of: pa.DataType) -> pa.DataType:
        return pa.large_list(of)

    event = pa.struct(
        {
            "row": pa.int32(),
            "layer": pa.int32(),
            "kind": pa.string(),
            "value": pa.float32(),
            "detail": pa.string(),
        }
    )
    return pa.schema(
        {
            "run_id": pa.string(),
            "task": pa.string(),
            "request_type": pa.string(),
            "doc_id": pa.int64(),
            "idx": pa.int32(),
            "window": pa.int32(),
            "repeat": pa.int32(),
            "sample": pa.int32(),
            "prompt_hash": pa.string(),
            "request_hash": pa.string(),
            "prompt_tokens": pa.int32(),
            "tokens": values(pa.int32()),
            "text": pa.large_string(),
            "response": pa.large_string(),
            "answer": pa.large_string(),
            "finish_reason": pa.string(),
            "thinking_end": pa.int32(),
            "layers": values(pa.int16()),
            "norms": values(pa.float32()),
            "logprob": values(pa.float32()),
            "entropy": values(pa.float32()),
            "self_certainty": values(pa.float32()),
            "confidence": values(pa.float32()),
            "norm_mean": values(pa.float32()),
            "events": values(event),
            "scores": pa.map_(pa.string(), pa.float64()),
            "chosen": pa.bool_(),
        }
    )
