"""The files of a trace directory: their names, and how one appears complete or not at all.

    part-<run_id>-r<rank>-<sequence>-<random>.parquet   responses, see trace_schema
    run-<run_id>.json                                   the run's settings
    choice-<run_id>-r<rank>-<random>.jsonl              what was chosen later, see trace_choices
    .<final name>.<host>-<pid>.tmp                      a write under way, or cut off by a kill

Nothing here knows what a part holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from l2_harness.whole_files import host

_PART = re.compile(r"part-(?P<run_id>.+)-r(?P<rank>\d+)-(?P<sequence>\d{6,})-[0-9a-f]{12}\.parquet")
_TEMPORARY = re.compile(r"\.(?P<final>.+)\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)\.tmp")


class PartName(NamedTuple):
    """What the name of a part says."""

    run_id: str
    rank: int
    sequence: int


def new_part_name(run_id: str, rank: int, sequence: int) -> str:
    """A name that no other process, rank or rerun comes up with."""
    return f"part-{run_id}-r{rank}-{sequence:06d}-{secrets.token_hex(6)}.parquet"


def parse_part_name(name: str) -> PartName | None:
    """The name's fields, or None for a file that was given another name."""
    match = _PART.fullmatch(name)
    if match is None:
        return None
    return PartName(match["run_id"], int(match["rank"]), int(match["sequence"]))


def run_file(trace_dir: Path, run_id: str) -> Path:
    """Where the settings of a run are."""
    return trace_dir / f"run-{run_id}.json"


def part_files(trace_dir: Path, run_id: str | None = None) -> list[Path]:
    """The complete parts by name; with ``run_id``, without those that name another run."""
    parts = []
    for path in sorted(trace_dir.glob("*.parquet")):
        name = parse_part_name(path.name)
        if run_id is None or name is None or name.run_id == run_id:
            parts.append(path)
    return parts


def unfinished_parts(trace_dir: Path, run_id: str | None = None) -> list[Path]:
    """The temporaries of parts: of writes under way, or cut off."""
    found = []
    for path, match in _temporaries(trace_dir):
        name = parse_part_name(match["final"])
        if name is not None and run_id in (None, name.run_id):
            found.append(path)
    return found


def remove_dead_temporaries(trace_dir: Path, run_id: str) -> None:
    """Delete what killed processes of this run and this machine left behind.

    A temporary of another machine stays: whether its process lives can't be told from here.
    """
    for path, match in _temporaries(trace_dir):
        name = parse_part_name(match["final"])
        ours = name.run_id == run_id if name else match["final"] == f"run-{run_id}.json"
        if ours and match["host"] == host() and not _alive(int(match["pid"])):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def check_writable(trace_dir: Path) -> None:
    """Create, write and delete a file in ``trace_dir``.

    Raises:
        OSError: as the system puts it.
    """
    probe = trace_dir / f".probe-{secrets.token_hex(6)}.{host()}-{os.getpid()}.tmp"
    try:
        probe.write_bytes(b"l2-harness")
    finally:
        probe.unlink(missing_ok=True)


def _temporaries(trace_dir: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in sorted(trace_dir.glob(".*.tmp")):
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None:
            yield path, match


def _alive(pid: int) -> bool:
    if os.name != "posix":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
