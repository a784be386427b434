"""Files that are there complete or not at all: written beside their place, synced, renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Make ``path`` hold ``content``, complete and on disk, or leave it as it was.

    Raises:
        OSError: the write failed; nothing is left behind.
    """
    with replaced(path) as file:
        file.write(content)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when all of it is written; see above."""
    temporary = path.with_name(f".{path.name}.{host()}-{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def write_text_atomically(path: Path, text: str) -> None:
    """The same of a text, in UTF-8."""
    write_atomically(path, storable(text).encode())


def storable(text: str) -> str:
    """A text that UTF-8 can hold, and so a file or a table: a lone surrogate becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Write into a folder that no other process writes into, until this is over or killed.

    Where the system or the disk has no locks, nothing is held.

    Raises:
        BlockingIOError: another one does.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise BlockingIOError(
            error.errno,
            "another command is writing into it; wait for its end, or pass another folder",
            str(folder),
        ) from None
    except OSError:
        pass  # no locks here
    try:
        yield
    finally:
        os.close(descriptor)


def host() -> str:
    """This machine's name, in a form for the names of temporaries."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _sync_directory(directory: Path) -> None:
    """Put the renaming itself on disk, where a directory can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
