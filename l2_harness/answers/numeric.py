"""Plain numbers in answers: integers, decimals, fractions, powers of ten, money, percentages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

#: Above this power of ten nothing is a number that an answer writes out.
MAX_EXPONENT = 400

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
_TIMES = r"(?:\\times|\\cdot|\*|x)"
_SCIENTIFIC = re.compile(
    rf"(?P<sign>[+-]?)(?P<digits>{_DIGITS})(?:[eE](?P<e>[+-]?\d+)"
    rf"|\s*{_TIMES}\s*10\s*(?:\^|\*\*)\s*\{{?\s*(?P<power>[+-]?\d+)\s*\}}?)?"
)
_POWER_OF_TEN = re.compile(r"(?P<sign>[+-]?)10\s*(?:\^|\*\*)\s*\{?\s*(?P<power>[+-]?\d+)\s*\}?")
_FRACTION = re.compile(
    rf"(?P<sign>[+-]?)(?:\\frac\{{(?P<a>[+-]?(?:{_DIGITS}))\}}\{{(?P<b>[+-]?(?:{_DIGITS}))\}}"
    rf"|(?P<c>{_DIGITS})\s*/\s*(?P<d>{_DIGITS}))"
)
_MIXED = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d+)\s*(?:\\frac\{(?P<a>\d+)\}\{(?P<b>\d+)\}"
    r"|\s(?P<c>\d+)/(?P<d>\d+))"
)
_PERCENT = re.compile(r"\s*(?:\\?%|percent|per cent|\bpct\b)$", re.IGNORECASE)
#: `18 dollars`: a word of three letters or more after a number is a unit, unless it is mathematics.
_WORDS = re.compile(
    r"(?<=[\d}%])\s+(?!(?:sin|cos|tan|log|exp|mod|and|or|over|times)\b)[A-Za-z]{3,}[A-Za-z .'/-]*$"
)
#: Units of more than one letter; `5 m` could be a product.
_UNITS = re.compile(
    r"(?<=[\d}])\s*(?:km|cm|mm|kg|mg|m[lL]|ft|lbs?|oz|hrs?|min|secs?|mph|kph|in\.)"
    r"(?:\s*/\s*(?:h|hr|min|s|sec))?(?:\s*\^\s*\{?[23]\}?)?$"
)


@dataclass(frozen=True)
class Number:
    """A number as an answer writes it.

    Attributes:
        value: without the percent sign: 50 % has the value 50.
        exact: whether it is written without a decimal point.
        percent: whether a percent sign follows.
    """

    value: Fraction
    exact: bool
    percent: bool = False


def read_number(text: str) -> Number | None:
    """The number that a tidied answer is, or None where it is anything else.

    Leading zeros and thousands separators are read over, and so is a unit.
    """
    text = _UNITS.sub("", _WORDS.sub("", text.strip()))
    percent = _PERCENT.search(text)
    number = _read_plain(text[: percent.start()] if percent else text)
    if number is None or not percent:
        return number
    return Number(number.value, number.exact, percent=True)


def numbers_equal(reference: Number, answer: Number, tolerance: float) -> bool:
    """Whether two numbers agree: exactly, or to a relative ``tolerance`` if one has a point.

    A percent sign may be left out where the reference carries one or reads as a percentage (is 1
    or more); otherwise `p %` means p / 100.
    """
    if reference.percent == answer.percent:
        return _close(reference, answer.value, answer.exact, tolerance)
    drops_sign = reference.percent or abs(reference.value) >= 1
    if drops_sign and _close(reference, answer.value, answer.exact, tolerance):
        return True
    scale = Fraction(100) if reference.percent else Fraction(1, 100)
    return _close(reference, answer.value * scale, answer.exact, tolerance)


def _close(reference: Number, value: Fraction, exact: bool, tolerance: float) -> bool:
    if reference.exact and exact:
        return reference.value == value
    size = max(abs(reference.value), abs(value))
    return abs(reference.value - value) <= Fraction(tolerance) * size


def _read_plain(text: str) -> Number | None:
    for pattern, read in _READERS:
        match = pattern.fullmatch(text.strip())
        if match:
            return read(match)
    return None


def _read_scientific(match: re.Match[str]) -> Number | None:
    digits = match["digits"].replace(",", "")
    exponent = int(match["e"] or match["power"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    value = Fraction(digits.rstrip(".") or "0") * Fraction(10) ** exponent
    return Number(_signed(match, value), exact="." not in digits)


def _read_power(match: re.Match[str]) -> Number | None:
    exponent = int(match["power"])
    if abs(exponent) > MAX_EXPONENT:
        return None
    return Number(_signed(match, Fraction(10) ** exponent), exact=True)


def _read_fraction(match: re.Match[str]) -> Number | None:
    top, bottom = (match[a] or match[b] for a, b in (("a", "c"), ("b", "d")))
    parts = [_read_plain(part) for part in (top, bottom)]
    if parts[0] is None or parts[1] is None or parts[1].value == 0:
        return None
    # `-1./3` is a third all the same: a quotient of whole numbers is exact.
    exact = all(part is not None and part.value.denominator == 1 for part in parts)
    return Number(_signed(match, parts[0].value / parts[1].value), exact)


def _read_mixed(match: re.Match[str]) -> Number | None:
    top, bottom = int(match["a"] or match["c"]), int(match["b"] or match["d"])
    if not 0 < top < bottom:
        return None
    return Number(_signed(match, int(match["whole"]) + Fraction(top, bottom)), exact=True)


def _signed(match: re.Match[str], value: Fraction) -> Fraction:
    return -value if match["sign"] == "-" else value


_READERS = (
    (_POWER_OF_TEN, _read_power),
    (_SCIENTIFIC, _read_scientific),
    (_FRACTION, _read_fraction),
    (_MIXED, _read_mixed),
)
