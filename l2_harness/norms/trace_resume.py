"""Which requests of a run have been answered, and with what, for a rerun that resumes."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

import numpy as np

from l2_harness.norms.recorded_responses import resume_keys
from l2_harness.norms.trace_choices import overlay_choices, read_choices
from l2_harness.norms.trace_frame import to_frame
from l2_harness.norms.trace_parts import keep_first, read_parts
from l2_harness.norms.trace_schema import ResumeKey
from l2_harness.paths import expanded


@dataclass(frozen=True, eq=False)
class CompletedResponse:
    """What answers lm-eval again without the model; the columns of a trace of these names.

    Attributes:
        response: what lm-eval got, or None for a loglikelihood.
        text: the raw response, or the continuation of a loglikelihood.
        tokens: (T,) int32.
        norm_mean: (L,) float32.
        scores: name → number.
        answer: what a vote takes it for, or None.
        finish_reason: None for a loglikelihood.
        thinking_end: row, or None.
        chosen: whether lm-eval got it.
    """

    response: str | None
    text: str
    tokens: np.ndarray
    norm_mean: np.ndarray
    scores: dict[str, float]
    answer: str | None = None
    finish_reason: str | None = None
    thinking_end: int | None = None
    chosen: bool = True

    @property
    def rows(self) -> int:
        """T, the number of response tokens."""
        return len(self.tokens)


def completed_requests(
    trace_dir: str | os.PathLike[str], run_id: str
) -> dict[ResumeKey, CompletedResponse]:
    """The responses of a run by key and request, from all ranks; the first written of equals.

    Neither norms nor any other column with a value a row, but for ``tokens``, is read. A
    response without ``norm_mean`` doesn't count: a rerun's summary couldn't take it in. Nor does
    one whose ``norm_mean`` is not finite: a rerun makes it again, and tells of it again. Empty
    where nothing was recorded yet.

    Warns:
        TraceWarning: a part left out, whose responses are to be computed again.
    """
    directory = expanded(trace_dir)
    if not directory.is_dir():
        return {}
    wanted = [spec.name for spec in fields(CompletedResponse)]
    parts = read_parts(directory, run_id, ["run_id", *ResumeKey._fields, *wanted])
    if not parts:
        return {}
    table, _ = keep_first(parts, ResumeKey._fields)
    table = overlay_choices(table, read_choices(directory, run_id))
    arrays = to_frame(table.select(["tokens", "norm_mean"]))
    plain = [name for name in wanted if name not in arrays]
    columns = {name: table[name].to_pylist() for name in plain}
    columns |= {name: list(arrays[name]) for name in arrays}
    columns["scores"] = [dict(scores or {}) for scores in columns["scores"]]
    answers = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return {
        key: CompletedResponse(**answer)
        for key, answer in zip(resume_keys(table), answers, strict=True)
        if answer["norm_mean"] is not None and np.isfinite(answer["norm_mean"]).all()
    }
