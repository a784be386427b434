r"""The contents of ``\boxed{...}``, braces balanced."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPEN = re.compile(r"\\(?:boxed|fbox)\s*\{")
#: What may stand between two boxes that together give one answer, as in `\boxed{3}, \boxed{5}`.
_BETWEEN = re.compile(r"[\s,;$]*(?:\\\)|\\\])?[\s,;]*(?:and|or)?[\s,;$]*(?:\\\(|\\\[)?[\s$]*")
#: What ends a box whose closing brace was forgotten.
_GIVEN_UP = re.compile(r"\$|\n|\\\]|\\\)")


class Box(NamedTuple):
    """One box: where it starts and ends in the text, and what it holds."""

    start: int
    end: int
    content: str


def last_boxed(text: str) -> str | None:
    r"""What the last box holds; neighbouring boxes are joined, as in `\boxed{3}, \boxed{5}`.

    Empty boxes are passed over. None without a box, and where the text ends inside one.
    """
    if ends_in_box(text):
        return None
    boxes = [box for box in find_boxes(text) if box.content]
    if not boxes:
        return None
    answer = [boxes[-1].content]
    for earlier, later in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
        if not _BETWEEN.fullmatch(text[earlier.end : later.start]):
            break
        answer.insert(0, earlier.content)
    return ", ".join(answer)


def ends_in_box(text: str) -> bool:
    """Whether the text breaks off inside its last box, so that its answer is not all there."""
    openings = list(_OPEN.finditer(text))
    if not openings:
        return False
    rest = text[openings[-1].end() :]
    return _closing_brace(rest) is None and not _GIVEN_UP.search(rest)


def find_boxes(text: str) -> list[Box]:
    """All boxes that end, outer ones only, in the order of the text."""
    boxes: list[Box] = []
    for opening in _OPEN.finditer(text):
        if boxes and opening.start() < boxes[-1].end:
            continue
        length = _content_length(text[opening.end() :])
        if length is not None:
            end = opening.end() + length
            boxes.append(Box(opening.start(), end + 1, text[opening.end() : end].strip()))
    return boxes


def _content_length(rest: str) -> int | None:
    """Up to the brace that closes the box or, where it was forgotten, up to the formula's end."""
    closing = _closing_brace(rest)
    if closing is not None:
        return closing
    given_up = _GIVEN_UP.search(rest)
    return given_up.start() if given_up else None


def _closing_brace(rest: str) -> int | None:
    r"""The index of the brace that closes a group opened before ``rest``; `\{` opens none."""
    depth = 1
    position = 0
    while position < len(rest):
        character = rest[position]
        if character == "\\":
            position += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return None
