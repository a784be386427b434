"""Files of JSON as they come: any encoding, compressed or not, a list or a line a value.

Knows nothing of what is in them.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

_POINTERS = (
    (b"version https://git-lfs.github.com/spec/", "a git-LFS pointer: run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer: run `git annex get`"),
)
_GZIP = b"\x1f\x8b"
_START = 1000
#: Characters of one value that is read.
_LONGEST = 2**28
#: What lm-eval writes for a slash in a folder's name.
_SLASH = "__"
_DECODER = json.JSONDecoder()


class UnreadableError(ValueError):
    """Why a file can't be read: a phrase that follows its name and ``is``."""


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in and below a folder, sorted; hidden folders and circles of links left out.

    What lm-eval names after a model such as ``./model`` isn't hidden, though it begins with a dot.
    """
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != "." or _SLASH in name)
        yield from (Path(parent, name) for name in sorted(names))


def head(path: Path, size: int = 4096) -> str:
    """How a file begins.

    Raises:
        UnreadableError: of :func:`open_text`.
    """
    with open_text(path) as file:
        return file.read(size)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A file's text: UTF-8, or what its byte-order mark says, gzip or not.

    Raises:
        UnreadableError: empty, damaged, not to be opened, or a pointer to a file that isn't here.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        opened: Callable[..., Any] = gzip.open if packed else open
        with opened(path, "rb") as file:
            start = file.read(_START)
        with opened(path, "rt", encoding=_encoding(start), errors="replace") as text:
            yield text
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError("damaged, or not to be opened") from error


def read_json(path: Path) -> Any:
    """The one value that a file holds.

    Raises:
        UnreadableError: of :func:`open_text`, or no JSON.
    """
    try:
        with open_text(path) as file:
            return json.loads(_all(file))
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableError("no whole JSON, cut off perhaps") from error


def read_values(path: Path) -> Iterator[tuple[int, Any]]:
    """Number, from 1, and value of each line, or of each item of a list; None for a damaged one.

    Raises:
        UnreadableError: of :func:`open_text`.
    """
    is_list = head(path).lstrip().startswith("[")
    with open_text(path) as file:
        yield from _items(_all(file)) if is_list else _lines(file)


def _all(file: TextIO) -> str:
    text = file.read(_LONGEST)
    if len(text) == _LONGEST:
        raise UnreadableError(f"longer than {_LONGEST >> 20} million characters")
    return text


def _encoding(start: bytes) -> str:
    if not start.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise UnreadableError("empty")
    for mark, told in _POINTERS:
        if mark in start[:200]:
            raise UnreadableError(told)
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _lines(file: TextIO) -> Iterator[tuple[int, Any]]:
    lines = iter(lambda: file.readline(_LONGEST), "")
    for number, line in enumerate(lines, start=1):
        if len(line) == _LONGEST:  # a few bytes may unpack to more than the memory holds
            yield number, None
            return
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            yield number, None


def _items(text: str) -> Iterator[tuple[int, Any]]:
    """A list's items as far as they are whole."""
    number, place = 0, text.index("[") + 1
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        if text[place : place + 1] == "]":
            return
        number += 1
        try:
            value, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield number, None
            return
        yield number, value
