r"""The contents of ``\boxed{...}``, braces balanced, in one pass over the text."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

from l2_harness.answers.piece import Piece

_OPEN = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|(?P<bare>-?\d[\d.,]*(?<![.,])|[A-Za-z](?![A-Za-z])))")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_CONNECTIVE = (
    r"(?:,?\s*(?:(?:and|or)(?:\s(?:also|else))?|as well as)\b"
    r"|\\(?:lor|land|vee|wedge|cup)\b|&|和|或者?|、)"
)
#: What may stand between two boxes that together give one answer: punctuation, the marks of
#: formulas and of emphasis, a connective as text or in ``\text``, and the name of the next value.
_BETWEEN = re.compile(
    r"(?:\s|[,;$*]|\\[()\[\]\\,;:! ]|\\q?quad\b)*"
    rf"(?:(?:\\(?:text|mathrm|mbox)\s*\{{(?:\s|\\ |~)*{_CONNECTIVE}?(?:\s|\\ |~)*\}}|{_CONNECTIVE})"
    r"(?:\s|[,;$*]|\\[()\[\]\\,;:! ]|\\q?quad\b)*)?"
    r"(?:\\?[A-Za-z]+(?:_\{?\w{1,3}\}?)?\s*=\s*)?"
)
_BARE_GAP = re.compile(r"(?:[\s$*]|\\[()\[\]])*")
_NAME_BEFORE = re.compile(r"(\\?[A-Za-z]+(?:_\{?\w{1,3}\}?)?\s*=)\s*$")
#: What ends a box whose closing brace was forgotten.
_GIVEN_UP = re.compile(r"\$|\n|\\\]|\\\)")
#: Between two boxes of one answer there is no more than this.
_LONGEST_GAP = 60


def last_boxed(text: str, same: Callable[[str, str], bool] = str.__eq__) -> str | None:
    r"""What the last box holds; neighbouring boxes are joined, as in `\boxed{3}, \boxed{5}`.

    Empty boxes are passed over, and what is boxed again counts once. Joined values keep the names
    before their boxes: `x = \boxed{3}, y = \boxed{5}`. None without a box, and where the text ends
    inside one.

    Args:
        text: a response.
        same: whether two boxes hold the same.
    """
    if ends_in_box(text):
        return None
    boxes = _neighbours(text, [box for box in find_boxes(text) if box.content])
    gaps = (text[one.end : two.start] for one, two in pairwise(boxes))
    repeats = all(map(_BARE_GAP.fullmatch, gaps))  # `-2, -2` says so twice on purpose
    period = _period([box.content for box in boxes], same) if repeats else len(boxes)
    if period < 2:
        return boxes[-1].content if boxes else None
    names = [_NAME_BEFORE.search(text, max(0, box.start - 30), box.start) for box in boxes[:period]]
    named = [name[1] if name and all(names) else "" for name in names]
    return ", ".join(name + box.content for name, box in zip(named, boxes, strict=False))


def _neighbours(text: str, boxes: list[Piece]) -> list[Piece]:
    """The last boxes with no more between them than joins values."""
    first = len(boxes) - 1
    while first > 0:
        earlier, later = boxes[first - 1], boxes[first]
        gap = text[earlier.end : later.start] if later.start - earlier.end <= _LONGEST_GAP else "x"
        if not _BETWEEN.fullmatch(gap):
            break
        first -= 1
    return boxes[max(first, 0) :]


def _period(contents: list[str], same: Callable[[str, str], bool]) -> int:
    """After how many boxes their contents repeat; all of them where they do not."""
    n = len(contents)
    for period in range(1, n):
        if n % period == 0 and all(
            contents[i] == contents[i - period] or same(contents[i - period], contents[i])
            for i in range(period, n)
        ):
            return period
    return n


def ends_in_box(text: str) -> bool:
    """Whether the text breaks off inside its last box, so that its answer is not all there."""
    openings = list(_OPEN.finditer(text))
    if not openings or openings[-1]["bare"]:
        return False
    start = openings[-1].end()
    return _closing_braces(text).get(start) is None and not _GIVEN_UP.search(text, start)


def find_boxes(text: str) -> list[Piece]:
    """All boxes that end, outer ones only, in the order of the text."""
    boxes: list[Piece] = []
    closing = _closing_braces(text)
    given_up = [match.start() for match in _GIVEN_UP.finditer(text)]
    for opening in _OPEN.finditer(text):
        if boxes and opening.start() < boxes[-1].end:
            continue
        if opening["bare"]:
            boxes.append(Piece(opening.start(), opening.end(), opening["bare"]))
            continue
        start = opening.end()
        end = closing.get(start)
        if end is None:  # the brace was forgotten: up to the formula's end
            place = bisect_left(given_up, start)
            end = given_up[place] if place < len(given_up) else None
        if end is not None:
            boxes.append(Piece(opening.start(), end + 1, text[start:end].strip()))
    return boxes


def _closing_braces(text: str) -> dict[int, int]:
    r"""From the position after a brace to that of the one that closes it; `\{` opens none."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACES.finditer(text):
        if brace[0] == "{":
            opened.append(brace.end())
        elif brace[0] == "}" and opened:
            closing[opened.pop()] = brace.start()
    return closing
