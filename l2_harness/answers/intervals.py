r"""Sets of real numbers as answers write them: `(2, \infty)`, `x > 2`, `\{x | x > 2\}`."""

from __future__ import annotations

import re
from typing import NamedTuple

from l2_harness.answers.parts import split_top_level

INFINITY = r"\infty"
_VARIABLE = r"(?:[A-Za-z]|\\[a-z]{2,8}(?<!\\le)(?<!\\ge)(?<!\\ne))(?:_\{?\w+\}?)?"
_BUILDER = re.compile(
    rf"\\\{{\s*(?P<variable>{_VARIABLE})\s*(?:\\in[^|:]{{0,40}})?(?:\||\\mid|:)(?P<condition>.+)\\\}}"
)
_MEMBER = re.compile(rf"(?P<variable>{_VARIABLE})\s*\\in(?![a-z])\s*(?P<set>.+)")
_BRACKETS = re.compile(r"(?P<opening>[(\[\]])(?P<ends>.+)(?P<closing>[)\]\[])")
_RELATION = re.compile(r"(<=|>=|\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])|<|>)")
_UNION = re.compile(r"\s*\\cup(?![a-z])\s*|\s+or\s+")
_REALS = ("\\mathbb{R}", "\\mathbb R")


class Interval(NamedTuple):
    """The numbers between two ends, each of which may belong to it; ends are expressions."""

    low: str
    high: str
    low_closed: bool
    high_closed: bool


class RealSet(NamedTuple):
    """A union of intervals, what they are intervals of (or ""), and whether it is a condition."""

    variable: str
    intervals: list[Interval]
    is_condition: bool


def read_real_set(text: str) -> RealSet | None:
    """The set that a tidied answer describes, or None where it is anything else."""
    builder, member = _BUILDER.fullmatch(text), _MEMBER.fullmatch(text)
    if builder:
        inner = _read_union(builder["condition"])
        if inner is None or inner.variable != builder["variable"]:
            return None
        return inner._replace(variable="")
    if member:
        inner = _read_union(member["set"])
        return inner and inner._replace(variable=member["variable"], is_condition=True)
    return _read_union(text)


def _read_union(text: str) -> RealSet | None:
    alternatives = split_top_level(text)
    if len(alternatives) == 1 or not all(map(_RELATION.search, alternatives)):
        alternatives = _UNION.split(text.strip())
    pieces = [_read_piece(piece.strip()) for piece in alternatives]
    read = [piece for piece in pieces if piece is not None]
    variables = {piece.variable for piece in read}
    if len(read) < len(pieces) or len(variables) != 1:
        return None
    intervals = [interval for piece in read for interval in piece.intervals]
    return RealSet(variables.pop(), intervals, any(piece.is_condition for piece in read))


def _read_piece(text: str) -> RealSet | None:
    if text in _REALS:
        return RealSet("", [Interval(f"-{INFINITY}", INFINITY, False, False)], True)
    points = re.fullmatch(r"\\\{(.+)\\\}", text)
    if points and not _RELATION.search(text):
        single = [Interval(p.strip(), p.strip(), True, True) for p in split_top_level(points[1])]
        return RealSet("", single, False)
    brackets = _BRACKETS.fullmatch(text)
    ends = split_top_level(brackets["ends"]) if brackets else []
    if brackets and len(ends) == 2:
        low, high = (end.strip().removeprefix("+") for end in ends)
        closed = brackets["opening"] == "[", brackets["closing"] == "]"
        outward = "]" in brackets["opening"] or "[" in brackets["closing"]
        return RealSet("", [Interval(low, high, *closed)], outward)
    return _read_condition(text)


def _read_condition(text: str) -> RealSet | None:
    r"""`x > 2`, `3 < x \le 4`, `x > 3 and x < 4` or `x \ne 2`."""
    both = re.split(r"\s+and\s+", text)
    halves = [_read_inequality(half.strip()) for half in both]
    first = halves[0]
    if len(halves) == 1 or first is None:
        return first
    second = halves[1]
    if len(halves) > 2 or second is None or first.variable != second.variable:
        return None
    (a,), (b,) = first.intervals[:1], second.intervals[:1]
    if INFINITY in a.high and INFINITY in b.low:
        return first._replace(intervals=[Interval(a.low, b.high, a.low_closed, b.high_closed)])
    if INFINITY in a.low and INFINITY in b.high:
        return first._replace(intervals=[Interval(b.low, a.high, b.low_closed, a.high_closed)])
    return None


def _read_inequality(text: str) -> RealSet | None:
    members = [member.strip() for member in _RELATION.split(text)]
    if len(members) not in (3, 5) or not all(members):
        return None
    signs = [sign.replace(r"\le", "<=").replace(r"\ge", ">=") for sign in members[1::2]]
    values = members[::2]
    if len({sign[0] for sign in signs}) != 1:
        return None
    if ">" in signs[0]:
        values, signs = values[::-1], [sign.replace(">", "<") for sign in signs[::-1]]
    places = [i for i, value in enumerate(values) if re.fullmatch(_VARIABLE, value)]
    if len(values) == 2:
        return _half_line(values, signs[0], places)
    if places != [1] and not (1 in places and values[1] not in (values[0], values[2])):
        return None
    interval = Interval(values[0], values[2], signs[0] == "<=", signs[1] == "<=")
    return RealSet(values[1], [interval], True)


def _half_line(values: list[str], sign: str, places: list[int]) -> RealSet | None:
    if not places:
        return None
    place = places[0]
    end, closed = values[1 - place], sign == "<="
    if values[place] in re.sub(r"\\[A-Za-z]+", "", end):
        return None  # `x > 2x - 1`
    below = Interval(f"-{INFINITY}", end, False, closed)
    above = Interval(end, INFINITY, closed, False)
    if sign == r"\ne":
        return RealSet(values[place], [below, above], True)
    return RealSet(values[place], [below if place == 0 else above], True)
