"""What hostile and broken input is made of: texts, JSON values, damaged bytes.

All is drawn from a ``random.Random``: a plain one is fast, and hypothesis' own makes a failing
input small or lets coverage guide the choices.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

#: Strings that have broken parsers, terminals, spreadsheets and browsers before.
NASTY = (
    "", " ", "\x00", "\ud800", "\udfff\ud800", "\u202e", "\u2066a\u2069", "\u200b", "\ufeff",
    "\u2028", "\u0085", "\x1c", "\x1b[31m", "\x1b]0;title\x07", "\x1b[2J", "\r", "\n", "\t", "²",
    "٣", "½", "Ⅷ", "<script>alert(1)</script>", "</script>", "<!--", "&lt;", "\"'>", "=1+1", "@SUM",
    "+1", "-1", "=cmd|' /C calc'!A0", "../../etc/passwd", "/", "\\", "..", ".", "a/b", "C:\\x", "~",
    "$HOME", "`id`", "nan", "NaN", "inf", "-inf", "1e400", "1e-400", "-0", "0x10", "1_000",
    "9" * 30, "9" * 4400, "null", "true", "off", "{", "}", "[", "]", ",", "=", ":", "+", "-", "--",
    "!!python/object/apply:os.system [id]", "!!timestamp 2026-99-99", "!!int x", "&a", "*a", "<<",
    "%TAG", "- ", "? ", "|", ">", "#", "[bold]", "🏻", "\U0005fa81", "é",
)  # fmt: skip
_NUMBERS = (
    *(
        0,
        1,
        -1,
        2,
        3,
        40,
        0.5,
        -0.5,
        1.5,
        1e308,
        -1e-320,
        float("nan"),
        float("inf"),
        -float("inf"),
    ),
    *(10**400, -(10**400), 2**31, 2**53 + 1, 2**63, 2**64, True, False),
)

Draw = Callable[[Random], Any]


def text(rng: Random, words: Sequence[str] = (), most: int = 6) -> str:
    """A text of a format's own pieces, if there are any, among nasty ones."""
    pieces = []
    for _ in range(rng.randint(0, most)):
        kind = rng.random()
        if words and kind < 0.75:
            pieces.append(rng.choice(words))
        elif kind < 0.95:
            pieces.append(rng.choice(NASTY))
        else:
            pieces.append(chr(rng.choice((rng.randrange(128), rng.randrange(0x10FFFF)))))
    return "".join(pieces)


def value(rng: Random, depth: int = 2) -> Any:
    """Any value that JSON may hold, and some that it may not."""
    kind = rng.randint(0, 7 if depth else 4)
    if kind == 0:
        return None
    if kind <= 2:
        return rng.choice(_NUMBERS)
    if kind <= 4:
        return rng.choice(NASTY) if rng.random() < 0.5 else text(rng)
    if kind <= 5:
        return [value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    return {text(rng, most=2): value(rng, depth - 1) for _ in range(rng.randint(0, 3))}


def changed(rng: Random, whole: Any) -> Any:
    """A JSON value with some of its places taken by other values, or gone."""
    if rng.random() < 0.02:
        return value(rng)
    found = copy.deepcopy(whole)
    for _ in range(rng.randint(0, 3)):
        places = list(_places(found))
        if not places:
            break
        holder, key = rng.choice(places)
        if isinstance(holder, dict) and rng.random() < 0.4:
            del holder[key]
        else:
            holder[key] = value(rng)
    return found


def _places(inside: Any) -> Iterator[tuple[Any, Any]]:
    items: Any = ()
    if isinstance(inside, dict):
        items = list(inside.items())
    elif isinstance(inside, list):
        items = list(enumerate(inside[:4]))
    for key, inner in items:
        yield inside, key
        yield from _places(inner)


def damaged(rng: Random, whole: bytes) -> bytes:
    """Bytes cut off, changed, with others among them, or others altogether."""
    kind = rng.random()
    if kind < 0.2:
        return whole[: rng.randint(0, len(whole))]
    if kind < 0.25:
        return bytes(rng.randrange(256) for _ in range(rng.randint(0, 60)))
    if kind < 0.26:
        return rng.choice([b"[", b'{"a":', b"- ", b"(", b"&a [*a"]) * rng.choice([50, 3000, 50_000])
    content = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(0, max(len(content) - 1, 0))
        if kind < 0.6:
            content[place:place] = rng.choice(NASTY).encode("utf-8", "surrogatepass")
        elif content:
            content[place] = rng.randrange(256)
    return bytes(content)


def json_file(rng: Random, whole: Any) -> bytes:
    """A JSON file near to a valid one: other values in its places, or its bytes damaged."""
    if rng.random() < 0.3:
        return damaged(rng, json.dumps(whole).encode())
    return json.dumps(changed(rng, whole)).encode()


def json_lines(rng: Random, lines: Sequence[Any]) -> bytes:
    """A file of JSON lines near to a valid one."""
    if rng.random() < 0.3:
        return damaged(rng, "\n".join(map(json.dumps, lines)).encode())
    plain = rng.random() < 0.5
    own = (json.dumps(changed(rng, line), ensure_ascii=plain) for line in lines)
    return "\n".join(own).encode("utf-8", "surrogatepass")


def mostly(rng: Random, whole: bytes) -> bytes:
    """As it is, or damaged."""
    return whole if rng.random() < 0.6 else damaged(rng, whole)
