"""What a page shows of recorded responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["correct", "wrong", "unjudged"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Known:
    """What sample files tell of one response.

    Attributes:
        prompt: what the model was given, or None where no sample file told.
        question: of the document, where it has a field that looks like one.
        reference: the right answer.
        extracted: what the task's filter took the response for.
        verdict: what the task's metric says.
        metric: its name and value, such as ``exact_match 1``.
    """

    prompt: str | None = None
    question: str | None = None
    reference: str | None = None
    extracted: str | None = None
    verdict: Verdict = "unjudged"
    metric: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class ResponseView(Known):
    """One response of T tokens at L monitored layers, and what is known of it.

    Attributes:
        task, doc_id, idx, repeat, sample: the trace's key.
        pieces: (T,) the text that each token adds.
        special: rows of tokens that are special to the tokenizer.
        norms: (T, L) float32, or None where the run kept none.
        tau: (L,) the threshold of each layer, NaN where there is none.
        logprob, entropy: (T,) in nats, or None.
        events: of the trace, dicts of row, layer, kind, value and detail.
        finish_reason: stop, length or eos.
        thinking_end: row of the token that ended the thinking, or None.
    """

    task: str
    doc_id: int
    idx: int
    repeat: int
    sample: int
    pieces: Sequence[str]
    special: Sequence[int]
    norms: np.ndarray | None
    tau: np.ndarray
    logprob: np.ndarray | None
    entropy: np.ndarray | None
    events: Sequence[Mapping[str, Any]]
    finish_reason: str | None
    thinking_end: int | None


@dataclass(frozen=True, eq=False, kw_only=True)
class ResponseSet:
    """The responses that a page shows.

    Attributes:
        run_id: the run they are of.
        layers: (L,) the monitored layers.
        views: in the order of the page.
        chosen: how they were chosen, in words.
        threshold: what τ is, in words.
    """

    run_id: str
    layers: Sequence[int]
    views: Sequence[ResponseView]
    chosen: str
    threshold: str
