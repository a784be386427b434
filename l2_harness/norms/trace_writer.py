"""Trace files, written part by part: a kill loses at most the batch in flight."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.config.errors import ConfigError, StorageError
from l2_harness.json_text import parse_json
from l2_harness.norms import trace_checks as check
from l2_harness.norms import trace_files as files
from l2_harness.norms.trace_choices import Choice, write_choices
from l2_harness.norms.trace_schema import SCHEMA_VERSION, ResumeKey, TraceRecord, trace_columns
from l2_harness.paths import expanded
from l2_harness.whole_files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

_WAY_OUT = "pass trace_dir=DIR, a folder that can be written to"
_STANDS = (
    "Nothing was half written, and earlier parts stand: free space or restore access, then run the "
    "same command again to resume"
)
_GONE = (
    "The folder is gone, and what it held with it: put it back to resume, or run the same command "
    "again to begin anew"
)


class TraceWriter:
    """Writes the responses of one process of a run.

    Args:
        trace_dir: made if it isn't there. Several ranks and runs may share it.
        run_id: the same for all ranks of a run and for a rerun that is to resume.
        rank: the global rank of this process.

    Raises:
        ConfigError: ``trace_dir`` is empty or a file.
        ValueError: a ``run_id`` unfit for file names.
        StorageError: ``trace_dir`` can't be made, or can't be written to.
    """

    def __init__(self, trace_dir: str | os.PathLike[str], run_id: str, rank: int = 0) -> None:
        self.run_id = check.run_id(run_id)
        self.rank = check.count("rank", rank)
        self.trace_dir = usable_directory(trace_dir)
        files.remove_dead_temporaries(self.trace_dir, run_id)
        self._sequence = itertools.count()

    def write(self, records: Sequence[TraceRecord]) -> Path | None:
        """Store responses in one new part, on disk when this returns.

        Returns:
            The part's path; None for no records, which makes no part.

        Raises:
            ValueError: a record of another run, or the same response twice.
            StorageError: the disk is full or the like; no part has been made, earlier ones stand.
        """
        if not records:
            return None
        self._check_records(records)
        content = _parquet_bytes(records_to_table(records), self.run_id, self.rank)
        path = self.trace_dir / files.new_part_name(self.run_id, self.rank, next(self._sequence))
        with self._storing():
            write_atomically(path, content)
        return path

    def write_choices(self, choices: Mapping[ResumeKey, Choice]) -> None:
        """Store what became known of responses that earlier parts hold.

        Raises:
            StorageError: as for :meth:`write`.
        """
        if choices:
            with self._storing():
                write_choices(self.trace_dir, self.run_id, self.rank, choices)

    def describe_run(self, settings: Mapping[str, Any]) -> Path:
        """Store what the run was: its model_args, layers, versions, whatever JSON can hold.

        Every rank and every rerun may call this with the same settings. Values that JSON can't
        hold are stored as their ``str``.

        Raises:
            ValueError: the run is already described by other settings; they are named.
            StorageError: as for :meth:`write`.
        """
        path = files.run_file(self.trace_dir, self.run_id)
        described = {
            "run_id": self.run_id,
            "schema_version": SCHEMA_VERSION,
            "settings": json.loads(json.dumps(settings, default=str)),
        }
        if path.exists():
            before = read_run_settings(self.trace_dir, self.run_id)
            if before == described["settings"]:
                return path
            raise ConfigError(
                f"{path} describes run {self.run_id!r} by other settings: "
                f"{_differences(before, described['settings'])}. Use another run_id or another "
                f"trace_dir, or delete {path.name} to mix both in one run."
            )
        with self._storing():
            write_atomically(path, (json.dumps(described, indent=2) + "\n").encode("ascii"))
        return path

    def _check_records(self, records: Sequence[TraceRecord]) -> None:
        keys = set()
        for record in records:
            if record.run_id != self.run_id:
                raise ValueError(f"run_id={record.run_id!r} in a trace of run {self.run_id!r}.")
            if record.key in keys:
                raise ValueError(f"{record.key} appears twice in one batch.")
            keys.add(record.key)

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """What can't be written is told with what stands, and the way on."""
        try:
            yield
        except OSError as error:
            reason, told = error.strerror or error, _STANDS if self.trace_dir.is_dir() else _GONE
            raise StorageError(
                error.errno, f"can't write traces ({reason}). {told}", str(self.trace_dir)
            ) from error


def read_run_settings(trace_dir: str | os.PathLike[str], run_id: str) -> dict[str, Any]:
    """What :meth:`TraceWriter.describe_run` stored.

    Raises:
        FileNotFoundError: the run was never described here.
        ConfigError: the file isn't the JSON that describe_run writes.
    """
    path = files.run_file(Path(trace_dir), check.run_id(run_id))
    if not path.exists():
        raise FileNotFoundError(f"{path} isn't there: no settings of run {run_id!r}.")
    try:
        settings = parse_json(path.read_bytes())["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} isn't a description of a run ({error}); delete it.") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} isn't a description of a run; delete it.")
    return settings


def records_to_table(records: Sequence[TraceRecord]) -> pa.Table:
    """The records as a table with the columns of :func:`trace_schema`."""
    import pyarrow as pa

    arrays = {
        column.name: pa.array(
            [column.kind.stored(getattr(record, column.name)) for record in records],
            column.kind.arrow(),
        )
        for column in trace_columns()
    }
    return pa.table(arrays)


def _parquet_bytes(table: pa.Table, run_id: str, rank: int) -> memoryview:
    """The table as a Parquet file, with checksums so that a reader notices damaged pages."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {
        "l2_harness.schema_version": str(SCHEMA_VERSION),
        "l2_harness.run_id": run_id,
        "l2_harness.rank": str(rank),
        "l2_harness.written_at_ns": str(time.time_ns()),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        compression="zstd",
        use_dictionary=False,
        write_page_checksum=True,
    )
    return memoryview(sink.getvalue())


def usable_directory(trace_dir: str | os.PathLike[str]) -> Path:
    """``trace_dir`` as a path, made if it isn't there and known to take files.

    Raises:
        ConfigError: it is empty or a file.
        StorageError: it can't be made, or can't be written to.
    """
    if not str(trace_dir).strip():
        raise ConfigError(f"trace_dir={str(trace_dir)!r} is empty: {_WAY_OUT}.", "trace_dir")
    path = expanded(trace_dir)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"trace_dir={str(path)!r} is a file: {_WAY_OUT}.", "trace_dir")
    try:
        path.mkdir(parents=True, exist_ok=True)
        files.check_writable(path)
    except OSError as error:
        raise StorageError(
            error.errno,
            f"trace_dir can't be written to ({error.strerror or error}): {_WAY_OUT}",
            str(path),
        ) from error
    return path


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> str:
    """``layers: [20] → [21], versions.torch: '2.1' → '2.2'``."""
    parts = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if nested := _differences(old, new, f"{prefix}{key}."):
                parts.append(nested)
        elif old != new or (key in before) != (key in now):
            parts.append(f"{prefix}{key}: {old!r} → {new!r}")
    return ", ".join(parts)
