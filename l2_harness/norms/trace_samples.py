"""The samples that one run drew, read for another run that is to choose among them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.trace_choices import overlay_choices, read_choices
from l2_harness.norms.trace_frame import to_frame
from l2_harness.norms.trace_parts import only_run, read_part, read_parts

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = ("run_id", "request_type", "request_hash", "repeat", "sample")
_ROWS = ("norms", "logprob", "entropy", "self_certainty", "confidence")


class SampleKey(NamedTuple):
    """Which sample of which request: ``stream`` is the number of its prompt's random stream."""

    request_hash: str
    stream: int


@dataclass(frozen=True, eq=False)
class RecordedSample:
    """A response that another run drew; the columns of a trace of these names.

    Attributes:
        tokens: (T,) int32.
        rows: its T rows, without scores.
        scores: whatever was recorded.
    """

    prompt_tokens: int
    tokens: np.ndarray
    finish_reason: str
    rows: ResponseRows
    scores: Mapping[str, float]


def recorded_samples(
    trace_dir: str | os.PathLike[str],
    runs: Mapping[str, int],
    wanted: Collection[SampleKey],
) -> Iterator[list[tuple[SampleKey, RecordedSample]]]:
    """Those of the wanted samples that some runs recorded with their rows, a part at a time.

    Each is given once. What a process holds at a time is one part.

    Args:
        trace_dir: where the runs wrote.
        runs: run_id → its ``num_samples``.
        wanted: which samples.

    Warns:
        TraceWarning: a part left out, whose samples are not found.
    """
    left = set(wanted)
    directory = Path(trace_dir).expanduser()
    for run_id, num_samples in runs.items():
        if not left:
            return
        choices = read_choices(directory, run_id)
        for part in read_parts(directory, run_id, _KEYS):
            keys = _keys(part.table, num_samples)
            keep = [key in left for key in keys]
            if not any(keep):
                continue
            found = dict(_samples(part.path, run_id, num_samples, keep, choices))
            left -= found.keys()
            yield list(found.items())


def _keys(table: pa.Table, num_samples: int) -> list[SampleKey | None]:
    """As runs number their streams; None for anything but a generated response."""
    columns = (table[name].to_pylist() for name in _KEYS[1:])
    return [
        SampleKey(request_hash, repeat * num_samples + sample) if kind == "generate_until" else None
        for kind, request_hash, repeat, sample in zip(*columns, strict=True)
    ]


def _samples(
    path: Path, run_id: str, num_samples: int, keep: list[bool], choices: Any
) -> Iterator[tuple[SampleKey, RecordedSample]]:
    import pyarrow as pa

    from l2_harness.norms.trace_schema import ResumeKey

    own = ("prompt_tokens", "tokens", "finish_reason", "scores")
    columns = dict.fromkeys([*_KEYS, *ResumeKey._fields, "layers", *own, *_ROWS])
    whole = read_part(path, list(columns)).table
    table = only_run(whole.filter(pa.array(keep)), run_id)
    frame = to_frame(overlay_choices(table, choices))
    for key, record in zip(_keys(table, num_samples), frame.itertuples(), strict=True):
        if key is None or record.norms is None:
            continue
        rows = ResponseRows(*(getattr(record, name) for name in _ROWS))
        yield (
            key,
            RecordedSample(
                int(record.prompt_tokens),
                record.tokens,
                record.finish_reason,
                rows,
                record.scores or {},
            ),
        )
