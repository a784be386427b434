"""Which requests of a run have been answered, and with what, for a rerun that resumes."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.trace_choices import overlay_choices, read_choices
from l2_harness.norms.trace_frame import to_frame
from l2_harness.norms.trace_parts import keep_first, only_run, read_part, read_parts
from l2_harness.norms.trace_schema import ResumeKey

if TYPE_CHECKING:
    import pyarrow as pa

_ANSWER = (
    *("response", "text", "tokens", "norm_mean", "scores"),
    *("answer", "finish_reason", "thinking_end", "chosen"),
)
_ROWS = ("norms", "logprob", "entropy", "self_certainty", "confidence")


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
    table = overlay_choices(table, read_choices(directory, run_id))
    arrays = to_frame(table.select(["tokens", "norm_mean"]))
    plain = [name for name in _ANSWER if name not in arrays]
    columns = {name: table[name].to_pylist() for name in plain}
    columns |= {name: list(arrays[name]) for name in arrays}
    columns["scores"] = [dict(scores or {}) for scores in columns["scores"]]
    answers = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return {
        key: CompletedResponse(**answer)
        for key, answer in zip(_keys(table), answers, strict=True)
        if answer["norm_mean"] is not None
    }


def recorded_rows(
    trace_dir: str | os.PathLike[str], run_id: str, keys: Collection[ResumeKey]
) -> dict[ResumeKey, ResponseRows]:
    """The rows of some responses of a run, without those that were recorded without rows.

    Only the parts that hold some of them are read, one after the other.
    """
    wanted = set(keys)
    directory = Path(trace_dir).expanduser()
    if not wanted or not directory.is_dir():
        return {}
    found: dict[ResumeKey, ResponseRows] = {}
    for part in read_parts(directory, run_id, ["run_id", *ResumeKey._fields]):
        keep = [key in wanted and key not in found for key in _keys(part.table)]
        if any(keep):
            found.update(_rows(part.path, run_id, keep))
    return found


def _keys(table: pa.Table) -> list[ResumeKey]:
    columns = (table[name].to_pylist() for name in ResumeKey._fields)
    return [ResumeKey(*key) for key in zip(*columns, strict=True)]


def _rows(path: Path, run_id: str, keep: list[bool]) -> dict[ResumeKey, ResponseRows]:
    """The rows of those responses of a part that are to be kept and have some."""
    import pyarrow as pa

    columns = ["run_id", *ResumeKey._fields, "tokens", "layers", *_ROWS]
    table = only_run(read_part(path, columns).table, run_id).filter(pa.array(keep))
    frame = to_frame(table)
    rows = zip(*(frame[name] for name in _ROWS), strict=True)
    return {
        key: ResponseRows(*row)
        for key, row in zip(_keys(table), rows, strict=True)
        if row[0] is not None
    }
