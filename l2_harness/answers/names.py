r"""What an answer says its value is of: the `x` of `x = 5`, the `(x, y)` of `(x, y) = (1, 2)`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from l2_harness.answers.parts import split_parts

#: A name: x, m_{\max}, f(x), f(2), \angle ABC, |AB|, (x, y).
_NAME = re.compile(
    r"(?:\\angle\s*|\\operatorname\s*)?(?:\\?[A-Za-z]+|\|[A-Za-z ]+\|)(?:\s[A-Za-z])*"
    r"(?:_\s*(?:\{[^{}]*\}|\w)|\^\s*\*|')*(?:\s*\([\w, ]*\))?(?:\s+[A-Z](?:_\s*\{?\d\}?)?)*"
    r"|\((?:\s*\\?[A-Za-z]+(?:_\{?\w\}?)?\s*,?)+\)"
)
LONGEST_NAME = 40
#: A calculation with numbers, such as stands on the left of `500 + 500 = 1000`.
_CALCULATION = re.compile(
    r"(?:[\d\s.,+\-*/^(){}%!\[\]]|\\(?:times|cdot|div|frac|sqrt|pi|binom|%|pm)(?![a-z]))*"
)
_EQUALS = re.compile(r"(?<![<>!:=])=(?!=)|\\in(?![a-z])")
_INDEX = re.compile(r"_\s*(?:\{[^{}]*\}|\w)|\d+$|'+$")


def split_name(text: str) -> tuple[str, str]:
    """(name, value) of an answer that names its value, ("", text) of any other.

    A chain that starts with a name or a calculation ends in the value: `x = 2 + 3 = 5`.
    """
    first, *others = _EQUALS.split(text) if "=" in text or r"\in" in text else [text]
    last = others[-1].strip() if others else ""
    if not last or any(len(split_parts(middle)) > 1 for middle in others[:-1]):
        return "", text  # no value, or a list of several
    name = first.strip()
    named = len(name) <= LONGEST_NAME and bool(_NAME.fullmatch(name))
    if named and (len(others) == 1 or is_calculation(last)):
        return name, last
    return ("", last) if is_calculation(name) and is_calculation(last) else ("", text)


def is_calculation(text: str) -> bool:
    """Whether a text holds numbers and operations alone."""
    return any(map(str.isdigit, text)) and bool(_CALCULATION.fullmatch(text))


def readings(text: str) -> list[str]:
    r"""What an answer stands for: of `\sqrt{2} \approx 1.41` either side, of a name none."""
    sides = [side.strip() for side in re.split(r"\\approx(?![a-z])", text)]
    sides = [side for side in sides if side]
    if len(sides) == 2 and _NAME.fullmatch(sides[0][:LONGEST_NAME]):
        return sides[1:]
    return sides if len(sides) == 2 else [text]


def plain_name(name: str) -> str:
    """A letter or a function, without its index and in lower case; empty for words and others."""
    plain = re.sub(r"\s", "", _INDEX.sub("", name))
    if re.fullmatch(r"\\angle[A-Z]+|\|[A-Z]{2}\||[A-Z]{2}", re.sub(r"[\s{}_\d]", "", name)):
        return re.sub(r"[\s{}]", "", name)  # an angle or a distance
    return plain.lower() if re.fullmatch(r"(?:[A-Za-z]|\\[a-z]+)(?:\([a-z,]*\))?", plain) else ""


def names_of(parts: Sequence[str]) -> list[str]:
    """The parts' names; empty where one has none, or where all have the same."""
    names = [re.sub(r"\s", "", split_name(part)[0]) for part in parts]
    return names if all(names) and len(set(names)) > 1 else []


def only_numbered(names: Sequence[str]) -> bool:
    r"""Whether names are one letter's, counted: `x_1`, `x_2`."""
    return len({_INDEX.sub("", name) for name in names}) == 1
