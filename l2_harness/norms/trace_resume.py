"""Which requests of a run have been answered, and with what, for a rerun that resumes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from l2_harness.norms.trace_frame import to_frame
from l2_harness.norms.trace_parts import keep_first, read_parts
from l2_harness.norms.trace_schema import ResumeKey

_ANSWER = ("response", "text", "tokens", "norm_mean", "scores")


@dataclass(frozen=True, eq=False)
class CompletedResponse:
    """What answers lm-eval again without the model; the columns of a trace of these names.

    Attributes:
        response: what lm-eval got, or None for a loglikelihood.
        text: the raw response, or the continuation of a loglikelihood.
        tokens: (T,) int32.
        norm_mean: (L,) float32.
        scores: name → number.
    """

    response: str | None
    text: str
    tokens: np.ndarray
    norm_mean: np.ndarray
    scores: dict[str, float]

    @property
    def rows(self) -> int:
        """T, the number of response tokens."""
        return len(self.tokens)


def completed_requests(
    trace_dir: str | os.PathLike[str], run_id: str
) -> dict[ResumeKey, CompletedResponse]:
    """The responses of a run by key and request, from all ranks; the first written of equals.

    Neither norms nor any other column with a value a row, but for ``tokens``, is read. A
    response without ``norm_mean`` doesn't count: a rerun's summary couldn't take it in. Empty
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
    frame = to_frame(table.select(_ANSWER))
    answers = zip(*(list(frame[name]) for name in _ANSWER), strict=True)
    return {
        ResumeKey(*key): CompletedResponse(
            response=response if isinstance(response, str) else None,  # pandas has NaN for null
            text=text,
            tokens=tokens,
            norm_mean=norm_mean,
            scores=scores or {},
        )
        for key, (response, text, tokens, norm_mean, scores) in zip(keys, answers, strict=True)
        if norm_mean is not None
    }
