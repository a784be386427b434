"""Recorded responses with their rows, read from a trace directory a part at a time.

Memory goes with the parts and not with the run: of a part that holds none of the wanted responses
only the keys are read, and what was read of one part is gone when the next one comes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.trace_choices import overlay_choices, read_choices
from l2_harness.norms.trace_frame import to_frame
from l2_harness.norms.trace_parts import TracePart, only_run, read_part, read_parts
from l2_harness.norms.trace_schema import ResumeKey
from l2_harness.paths import expanded

if TYPE_CHECKING:
    import pyarrow as pa

Key = TypeVar("Key", bound=Hashable)
_KEYS = ("run_id", *ResumeKey._fields)
_VALUES = ("prompt_tokens", "tokens", "finish_reason", "scores")


@dataclass(frozen=True, eq=False)
class RecordedResponse:
    """A response as a trace holds it; the columns of these names.

    Attributes:
        tokens: (T,) int32.
        finish_reason: None for a loglikelihood.
        rows: its T rows, without scores.
        scores: whatever was recorded.
    """

    prompt_tokens: int
    tokens: np.ndarray
    finish_reason: str | None
    rows: ResponseRows
    scores: dict[str, float]


def recorded_responses(
    trace_dir: str | os.PathLike[str],
    run_id: str,
    wanted: Collection[Key],
    key_of: Callable[[ResumeKey], Key | None],
    signals: Sequence[str] | None = None,
) -> Iterator[dict[Key, RecordedResponse]]:
    """Those of the wanted responses of a run that were recorded with their rows, part by part.

    Each is given once: the first written of those with the same key.

    Args:
        trace_dir: where the run wrote.
        run_id: which run.
        wanted: keys of the responses.
        key_of: a response's key, None for one that nobody wants.
        signals: which of the signals are read; None for all.

    Warns:
        TraceWarning: a part left out, whose responses are not found.
    """
    directory = expanded(trace_dir)
    left = set(wanted)
    if not left or not directory.is_dir():
        return
    names = SIGNALS.names if signals is None else tuple(signals)
    choices = read_choices(directory, run_id)
    for part in read_parts(directory, run_id, _KEYS):
        keys = [key_of(key) for key in resume_keys(part.table)]
        keep = [key in left for key in keys]
        if not any(keep):
            continue
        own = _kept(part, run_id, keep, names)
        table = overlay_choices(own, choices) if choices else own
        kept = [key for key, is_kept in zip(keys, keep, strict=True) if is_kept]
        found: dict[Key, RecordedResponse] = {}
        for key, response in zip(kept, _responses(table, names), strict=True):
            if key is not None and response is not None:
                found.setdefault(key, response)
        left -= found.keys()
        yield found


def resume_keys(table: pa.Table) -> list[ResumeKey]:
    """The key of each response of a table."""
    columns = (table[name].to_pylist() for name in ResumeKey._fields)
    return [ResumeKey(*key) for key in zip(*columns, strict=True)]


def _kept(part: TracePart, run_id: str, keep: list[bool], signals: Sequence[str]) -> pa.Table:
    """Those responses of a part, with the keys that are read already."""
    import pyarrow as pa

    columns = ["run_id", *_VALUES, "layers", "norms", *signals]
    table = only_run(read_part(part.path, columns).table, run_id)
    for name in ResumeKey._fields:
        table = table.append_column(part.table.schema.field(name), part.table[name])
    return table if all(keep) else table.filter(pa.array(keep))


def _responses(table: pa.Table, signals: Sequence[str]) -> Iterator[RecordedResponse | None]:
    """Each response of a table, None for one without rows."""
    frame = to_frame(table)
    measured = [dict(zip(signals, of, strict=True)) for of in _rows_of(frame, signals)]
    for values in zip(*(frame[name] for name in _VALUES), frame["norms"], measured, strict=True):
        prompt_tokens, tokens, reason, scores, norms, own = values
        if norms is None:
            yield None
            continue
        rows = ResponseRows(norms, own)
        yield RecordedResponse(int(prompt_tokens), tokens, reason, rows, scores or {})


def _rows_of(frame: Any, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(frame[name] for name in names), strict=True) if names else iter([()] * len(frame))
