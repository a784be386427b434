"""Parquet files of this project, read as files that anything may have happened to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: Of what a file unpacks to: more than that, and so many times its size, is no file of ours.
_MOST_BYTES, _MOST_TIMES = 2**29, 1000


class DamagedFileError(ValueError):
    """Why a file can't be read, in a few words that don't name it."""


@contextmanager
def opened_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """The file, opened; its pages' checksums are verified.

    Raises:
        FileNotFoundError: it isn't there.
        DamagedFileError: it is damaged, now or when it is read further on, or claims to unpack to
            more than such files do.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        size = path.stat().st_size
        if not size:
            raise DamagedFileError("an empty file")
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_claims(file.metadata, size)
            yield file
    except FileNotFoundError:
        raise
    # Damaged bytes surface as ArrowInvalid (a ValueError), OSError, or, from a garbled footer,
    # as nearly anything else that Arrow raises.
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise DamagedFileError(first_line(error)) from error


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns.

    Raises:
        FileNotFoundError: it isn't there.
        DamagedFileError: it is damaged, or has none of these names.
    """
    with opened_parquet(path) as file:
        for name in columns:
            if name not in file.schema_arrow.names:
                raise DamagedFileError(f"it has no column {name}")
        return file.read(columns=list(columns))


def first_line(error: BaseException) -> str:
    """What an error says, without a full stop."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _check_claims(metadata: Any, size: int) -> None:
    """A file of a few bytes can claim more values than any memory holds."""
    # the metadata of single columns is not asked for: damaged, it ends the process in Arrow
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    claimed = sum(group.total_byte_size for group in groups)
    claimed = max(claimed, 4 * metadata.num_rows * metadata.num_columns)
    if claimed > max(_MOST_BYTES, _MOST_TIMES * size):
        raise DamagedFileError(f"{size} bytes that claim to unpack to {claimed} bytes")
