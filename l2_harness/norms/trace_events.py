"""The events of one kind that a run's responses have, read without their other events."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from l2_harness.norms.recorded_responses import resume_keys
from l2_harness.norms.trace_parts import only_run, read_part, read_parts
from l2_harness.norms.trace_schema import ResumeKey, TraceEvent
from l2_harness.paths import expanded

if TYPE_CHECKING:
    import pyarrow as pa


def recorded_events(
    trace_dir: str | os.PathLike[str], run_id: str, keys: Collection[ResumeKey], kind: str
) -> dict[ResumeKey, list[TraceEvent]]:
    """Those of some responses of a run; of a response that was written twice, the first one's.

    Only the parts that hold some of them are read, one after the other.
    """
    left = set(keys)
    found: dict[ResumeKey, list[TraceEvent]] = {}
    for part in read_parts(expanded(trace_dir), run_id, ["run_id", *ResumeKey._fields]):
        if left.isdisjoint(resume_keys(part.table)):
            continue
        table = only_run(
            read_part(part.path, ["run_id", *ResumeKey._fields, "events"]).table, run_id
        )
        for key, events in zip(resume_keys(table), _of_kind(table, kind), strict=True):
            if key in left:
                found[key] = events
                left.remove(key)
    return found


def _of_kind(table: pa.Table, kind: str) -> list[list[TraceEvent]]:
    """The events of one kind of each response."""
    import pyarrow.compute as pc

    column = table["events"].combine_chunks()
    flat, responses = pc.list_flatten(column), pc.list_parent_indices(column)
    is_kind = pc.equal(pc.struct_field(flat, "kind"), kind)
    found: list[list[TraceEvent]] = [[] for _ in range(table.num_rows)]
    for response, event in zip(
        responses.filter(is_kind).to_pylist(), flat.filter(is_kind).to_pylist(), strict=True
    ):
        found[response].append(TraceEvent(**event))
    return found
