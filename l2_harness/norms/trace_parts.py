"""One part of a trace read, whatever state it is in: a table, or the reason why not."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.norms import trace_files as files
from l2_harness.norms.parquet_files import DamagedFileError, first_line, opened_parquet
from l2_harness.norms.trace_schema import SCHEMA_VERSION, TraceKey, TraceWarning, trace_schema

if TYPE_CHECKING:
    import pyarrow as pa

#: What can be asked for as a column and is the length of another's lists: of long responses the
#: lists themselves are most of a table.
COUNTED = {"n_tokens": "tokens"}
#: A prompt's task, doc_id and idx.
Prompt = tuple[str, int, int]


class UnreadablePartError(Exception):
    """Why a part can't be used, in words for a :class:`TraceWarning`."""


@dataclass(frozen=True)
class TracePart:
    """The responses of one part.

    Attributes:
        path: the file.
        order: sorts parts by the time of writing.
        table: the columns asked for, in the types of the current schema.
    """

    path: Path
    order: tuple[int, str]
    table: pa.Table


def read_parts(
    trace_dir: Path,
    run_id: str | None,
    columns: Sequence[str],
    prompts: Collection[Prompt] | None = None,
) -> list[TracePart]:
    """The readable parts, first written first; a :class:`TraceWarning` for each other one.

    With ``prompts``, of each part the responses to these alone; their columns are asked for.
    """
    parts = _readable(trace_dir, run_id, columns)
    if prompts is not None:
        parts = (replace(part, table=_only_prompts(part.table, prompts)) for part in parts)
    return sorted(parts, key=lambda part: part.order)


def warn_of_unfinished(trace_dir: Path, run_id: str | None) -> None:
    """A :class:`TraceWarning` for each write that is under way or was cut off."""
    for path in files.unfinished_parts(trace_dir, run_id):
        _warn(path, "an unfinished part, left by a kill or being written now; left out")


def count_parts(trace_dir: Path, run_id: str | None = None) -> int:
    """How many files look like parts, readable or not."""
    return len(files.part_files(trace_dir, run_id))


def _readable(trace_dir: Path, run_id: str | None, columns: Sequence[str]) -> Iterator[TracePart]:
    for path in files.part_files(trace_dir, run_id):
        try:
            part = read_part(path, columns)
        except UnreadablePartError as reason:
            _warn(path, f"{reason}; left out")
            continue
        if run_id is not None and files.parse_part_name(path.name) is None:
            part = TracePart(part.path, part.order, only_run(part.table, run_id))
        yield part


def read_part(path: Path, columns: Sequence[str]) -> TracePart:
    """Some columns of one part.

    Raises:
        UnreadablePartError: it is damaged, of another project or of a later version.
    """
    try:
        with opened_parquet(path) as file:
            metadata = file.schema_arrow.metadata or {}
            _check_version(metadata)
            needed = [COUNTED.get(name, name) for name in columns]
            present = [name for name in dict.fromkeys(needed) if name in file.schema_arrow.names]
            table = file.read(columns=present)
    except FileNotFoundError as error:
        raise UnreadablePartError("gone while the directory was read") from error
    except DamagedFileError as error:
        raise UnreadablePartError(f"damaged or cut off ({error})") from error
    written_at = metadata.get(b"l2_harness.written_at_ns", b"")
    order = (int(written_at) if written_at.isdigit() else 0, path.name)
    return TracePart(path, order, _current_schema(table, columns))


def _check_version(metadata: dict[bytes, bytes]) -> None:
    version = metadata.get(b"l2_harness.schema_version")
    if version is None or not version.isdigit():
        raise UnreadablePartError("a Parquet file, but no trace of this project")
    if int(version) > SCHEMA_VERSION:
        raise UnreadablePartError(
            f"written in trace schema version {int(version)}, and this l2_harness reads up to "
            f"version {SCHEMA_VERSION}: upgrade it"
        )


def _current_schema(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """``table`` with exactly ``columns``: those an older schema lacks are null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = []
    for name in columns:
        stored = COUNTED.get(name, name)
        wanted = trace_schema().field(stored).type
        if stored not in table.column_names:
            array = pa.chunked_array([pa.nulls(len(table), wanted)])
        else:
            try:
                array = table.column(stored).cast(wanted)
            except (pa.ArrowException, NotImplementedError) as error:
                raise UnreadablePartError(f"column {stored}: {first_line(error)}") from error
        arrays.append(array if stored == name else pc.list_value_length(array))
    return pa.table(arrays, names=list(columns))


def only_run(table: pa.Table, run_id: str) -> pa.Table:
    """Those responses of a table that belong to a run, which its file's name need not tell."""
    import pyarrow.compute as pc

    ours = pc.equal(table["run_id"], run_id)
    return table if pc.all(ours).as_py() else table.filter(ours)


def _only_prompts(table: pa.Table, prompts: Collection[Prompt]) -> pa.Table:
    import pyarrow as pa

    keys = zip(*(table[name].to_pylist() for name in ("task", "doc_id", "idx")), strict=True)
    return table.filter(pa.array([key in prompts for key in keys], pa.bool_()))


def keep_first(parts: Sequence[TracePart], names: Sequence[str]) -> tuple[pa.Table, dict[Any, int]]:
    """All responses of ``parts``, the first written of those equal in the columns ``names``.

    Returns:
        The table in the order of writing, and how many responses of each run were dropped.
    """
    import pyarrow as pa

    seen: set[tuple[Any, ...]] = set()
    dropped: dict[Any, int] = {}
    tables = []
    for part in parts:
        keep = []
        for key in zip(*(part.table[name].to_pylist() for name in names), strict=True):
            keep.append(key not in seen)
            if not keep[-1]:
                run = key[0] if names[0] == "run_id" else None
                dropped[run] = dropped.get(run, 0) + 1
            seen.add(key)
        tables.append(part.table if all(keep) else part.table.filter(pa.array(keep)))
    return pa.concat_tables(tables), dropped


def sorted_by_key(table: pa.Table) -> pa.Table:
    """The table in the order of :class:`TraceKey`."""
    return table.sort_by([(name, "ascending") for name in TraceKey._fields])


def _warn(path: Path, reason: str) -> None:
    warnings.warn(f"{path}: {reason}", TraceWarning, stacklevel=2)
