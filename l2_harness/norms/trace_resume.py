"""Which requests of a run have been answered, and with what, for a rerun that resumes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.norms.trace_frame import to_frame
from l2_harness.norms.trace_parts import keep_first, read_parts
from l2_harness.norms.trace_schema import ResumeKey

_ANSWER = (
    "text",
    "tokens",
    "finish_reason",
    "thinking_end",
    "scores",
    "chosen",
    "layers",
    "norm_mean",
)


@dataclass(frozen=True, eq=False)
class CompletedResponse:
    """What answers lm-eval again without the model; the columns of a trace of these names.

    Attributes:
        text: the raw response, or the continuation of a loglikelihood.
        tokens: (T,) int32.
        finish_reason: stop, length, eos or None.
        thinking_end: row of the token that ended the thinking, or None.
        scores: name → number.
        chosen: whether lm-eval got this response.
        layers: (L,) int16.
        norm_mean: (L,) float32 or None.
    """

    text: str
    tokens: np.ndarray
    finish_reason: str | None
    thinking_end: int | None
    scores: dict[str, float]
    chosen: bool
    layers: np.ndarray
    norm_mean: np.ndarray | None


def completed_requests(
    trace_dir: str | os.PathLike[str], run_id: str
) -> dict[ResumeKey, CompletedResponse]:
    """The responses of a run by key and request, from all ranks; the first written of equals.

    Neither norms nor any other column with a value a row, but for ``tokens``, is read. Empty
    where nothing was recorded yet.

    Warns:
        TraceWarning: a part left out, whose responses are to be computed again.
    """
    directory = Path(trace_dir).expanduser()
    if not directory.is_dir():
        return {}
    parts = read_parts(directory, run_id, ["run_id", *ResumeKey._fields, *_ANSWER])
    if not parts:
        return {}
    table, _ = keep_first(parts, ResumeKey._fields)
    keys = zip(*(table[name].to_pylist() for name in ResumeKey._fields), strict=True)
    frame = to_frame(table.select(["tokens", "layers", "norm_mean"]))
    vectors: dict[str, Any] = {name: list(frame[name]) for name in frame}
    plain = {name: table[name].to_pylist() for name in _ANSWER if name not in vectors}
    answers = zip(*({**plain, **vectors}[name] for name in _ANSWER), strict=True)
    return {
        ResumeKey(*key): _response(dict(zip(_ANSWER, answer, strict=True)))
        for key, answer in zip(keys, answers, strict=True)
    }


def _response(values: dict[str, Any]) -> CompletedResponse:
    return CompletedResponse(**{**values, "scores": dict(values["scores"] or ())})
