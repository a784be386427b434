r"""Conditions on a real variable in the notation of intervals: `(2, \infty)` for `x > 2`."""

from __future__ import annotations

import re
from typing import NamedTuple

from l2_harness.answers.parts import split_top_level

_VARIABLE = r"(?:[A-Za-z]|\\(?!le\b|ge\b|ne\b)[a-z]{2,8})(?:_\{?\w+\}?)?"
_BUILDER = re.compile(
    rf"\\\{{\s*(?P<variable>{_VARIABLE})\s*(?:\\in[^|:]{{0,40}})?(?:\||\\mid|:)(?P<set>.+)\\\}}"
)
_MEMBER = re.compile(rf"(?P<variable>{_VARIABLE})\s*\\in(?![a-z])\s*(?P<set>.+)")
_OUTWARD = re.compile(r"(?:(\])|([(\[]))([^()\[\]]+,[^()\[\]]+)(?:(\[)|([)\]]))")
_RELATION = re.compile(r"(<=|>=|\\(?:le|ge|ne)(?![a-z])|<|>)")
_JOINED = re.compile(r"\s*(\\cup|\\cap)(?![a-z])\s*|\s+(or|and)\s+")
_REALS = re.compile(r"\\mathbb\s*\{?R\}?")
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\ne": r"\ne"}


class RealSet(NamedTuple):
    r"""A set of real numbers in interval notation.

    Attributes:
        text: intervals and sets of points, joined by ``\cup`` and ``\cap``.
        variable: what the condition is on, or empty.
        rewritten: whether the answer had it in another notation.
    """

    text: str
    variable: str
    rewritten: bool


def read_real_set(text: str) -> RealSet | None:
    """The set that a tidied answer describes, or None where it is anything else."""
    builder, member = _BUILDER.fullmatch(text), _MEMBER.fullmatch(text)
    described = builder or member
    if described is None:
        return _read_joined(text)
    inner = _read_joined(described["set"])
    if inner is None or (builder and inner.variable != builder["variable"]):
        return None
    return RealSet(inner.text, "" if builder else described["variable"], True)


def _read_joined(text: str) -> RealSet | None:
    alternatives = split_top_level(text)
    if len(alternatives) > 1 and all(map(_RELATION.search, alternatives)):
        text = " or ".join(alternatives)
    pieces = re.split(_JOINED, text.strip())
    read = [_read_piece(piece.strip()) for piece in pieces[::3]]
    signs = [r"\cap" if "cap" in (a or "") or b == "and" else r"\cup"
             for a, b in zip(pieces[1::3], pieces[2::3], strict=True)]  # fmt: skip
    known = [piece for piece in read if piece is not None]
    variables = {piece.variable for piece in known}
    if len(known) < len(read) or len(variables) != 1:
        return None
    joined = "".join(f" {sign} {one.text}" for sign, one in zip(["", *signs], known, strict=True))
    return RealSet(joined.strip(), variables.pop(), any(one.rewritten for one in known))


def _read_piece(text: str) -> RealSet | None:
    if _REALS.fullmatch(text):
        return RealSet(r"(-\infty,\infty)", "", True)
    if _RELATION.search(text):
        return _read_inequality(text)
    outward = _OUTWARD.fullmatch(text)
    if outward:
        opening, closing = "(" if outward[1] else outward[2], ")" if outward[4] else outward[5]
        return RealSet(f"{opening}{outward[3]}{closing}", "", bool(outward[1] or outward[4]))
    is_set = text.startswith(("(", "[", r"\{", r"\emptyset", r"\mathbb"))
    return RealSet(text, "", False) if is_set else None


def _read_inequality(text: str) -> RealSet | None:
    members = [member.strip() for member in _RELATION.split(text)]
    members = [{"<=": r"\le", ">=": r"\ge"}.get(member, member) for member in members]
    if len(members) == 3:
        return _half_line(*members)
    if len(members) != 5 or not re.fullmatch(_VARIABLE, members[2]):
        return None
    low, left, variable, right, high = members
    if left in (">", r"\ge"):
        low, left, right, high = high, _FLIPPED[right], _FLIPPED[left], low
    if {left, right} - {"<", r"\le"}:
        return None
    brackets = "(" if left == "<" else "[", ")" if right == "<" else "]"
    return RealSet(f"{brackets[0]}{low},{high}{brackets[1]}", variable, True)


def _half_line(left: str, sign: str, right: str) -> RealSet | None:
    if not re.fullmatch(_VARIABLE, left):
        left, sign, right = right, _FLIPPED[sign], left
    if not re.fullmatch(_VARIABLE, left) or left in re.sub(r"\\[A-Za-z]+", "", right) or not right:
        return None  # no variable alone on one side
    above, below = rf"({right},\infty)", rf"(-\infty,{right})"
    text = {
        "<": below,
        ">": above,
        r"\le": below[:-1] + "]",
        r"\ge": "[" + above[1:],
        r"\ne": rf"{below} \cup {above}",
    }[sign]
    return RealSet(text, left, True)
