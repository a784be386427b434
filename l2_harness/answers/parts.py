"""Answers of several parts: what counts as one part, whatever the order and the brackets."""

from __future__ import annotations

import re

_SET = re.compile(r"\\\{(.*)\\\}")
_SYSTEM = re.compile(r"\\begin\{(cases|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}")
_WORDS = re.compile(r"\s*,?\s+(?:and|or)\s+|\s*;\s*|(?<=[\d)\]}])\s?(?:and|or)\s?(?=[\d(\[\\A-Z-])")
_PLUS_MINUS = re.compile(r"\\pm|±")
_TUPLE = re.compile(r"\((.*,.*)\)")


def split_parts(answer: str) -> list[str]:
    r"""The parts of a tidied answer: ``\{3, 5\}``, `5 and 3` and `3, 5` have two.

    Commas inside brackets separate nothing: `(1, 2), (3, 4)` has two parts. `1 \pm x` has two,
    written out.
    """
    text = _lines_of_system(answer.strip())
    braces = _SET.fullmatch(text)
    if braces and r"\}" not in braces[1]:
        text = braces[1]
    pieces = (piece.strip() for piece in split_top_level(_WORDS.sub(",", text)))
    return [part for piece in pieces if piece for part in _both_signs(piece)]


def split_top_level(text: str) -> list[str]:
    """Split at the commas that no bracket encloses."""
    pieces, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(0, depth - 1)
        elif character == "," and depth == 0:
            pieces.append(text[start:position])
            start = position + 1
    return [*pieces, text[start:]]


def coordinates(part: str) -> list[str]:
    """The coordinates of a point such as `(1, 2)`; of anything else the part itself."""
    point = _TUPLE.fullmatch(part)
    inside = split_top_level(point[1]) if point else []
    return [piece.strip() for piece in inside] if len(inside) > 1 else [part]


def _lines_of_system(text: str) -> str:
    """A system of equations as a list; a function by cases, with columns, as it is."""
    system = _SYSTEM.fullmatch(text)
    if system is None or (system[1] == "cases" and "&" in system[2]):
        return text
    return system[2].replace("&", "").replace(r"\\", ",")


def _both_signs(part: str) -> list[str]:
    if len(_PLUS_MINUS.findall(part)) != 1 or re.search(r"[(\[{].*(?:\\pm|±)", part):
        return [part]
    return [_PLUS_MINUS.sub(sign, part).strip().removeprefix("+ ") for sign in "+-"]
