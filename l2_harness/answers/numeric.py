"""Plain numbers in answers: integers, decimals, fractions, powers of ten, money, percentages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from l2_harness.answers.units import KNOWN_UNITS, SCALES, is_unit

#: Above this power of ten nothing is a number that an answer writes out.
MAX_EXPONENT = 400
#: Figures after which a decimal is cut; a number with more before its point is none here.
MAX_DIGITS = 1000

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
_TIMES = r"(?:\\times|\\cdot|\*|x)"
_SCIENTIFIC = re.compile(
    rf"(?P<sign>[+-]?)(?P<digits>{_DIGITS}|\d{{1,3}}(?: \d{{3}})+)(?:[eE](?P<e>[+-]?\d+)"
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
_REPEATING = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d*)\.(?P<once>\d{0,40}?)"
    r"(?:\\(?:overline|bar|dot)\s*\{?(?P<over>\d+)\}?|\((?P<bracketed>\d+)\)"
    r"|(?P<dots>\d)(?P=dots){2,40}\s*\\[lc]?dots)"
)
_PERCENT = re.compile(r"\s*(?:\\?%|percent|per cent|\bpct\b)$", re.IGNORECASE)
#: `18 dollars`: a word of three letters or more after a number is a unit, unless it is mathematics.
_WORDS = re.compile(
    r"(?<=[\d}%])(?:\s+(?P<words>[A-Za-z]{3,}[A-Za-z .'/-]*)|\s*[぀-ヿ一-鿿가-힣]+)$"
)
_SCALE = re.compile(
    rf"(?<=[\d}}])[\s~]*(?P<scale>{'|'.join(SCALES)})s?(?![A-Za-z])\s*(?P<words>.*)$", re.I
)
#: Units of more than one letter; `5 m` could be a product.
_UNITS = re.compile(
    rf"(?<=[\d}}])\s*{KNOWN_UNITS}(?:\s*/\s*(?:h|hr|min|s|sec))?(?:\s*\^\s*\{{?[23]\}}?)?$"
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
    text = text.strip()
    scaled = _SCALE.search(text)
    if scaled and (not scaled["words"] or is_unit(scaled["words"], "1")):
        number = _read_plain(text[: scaled.start()])
        factor = SCALES[scaled["scale"].lower()]
        return number and Number(number.value * factor, number.exact)
    words = _WORDS.search(text)
    if words and is_unit(words[0], text[: words.start()]):
        text = text[: words.start()]
    text = _UNITS.sub("", text)
    percent = _PERCENT.search(text)
    number = _read_plain(text[: percent.start()] if percent else text)
    return number and Number(number.value, number.exact, percent=percent is not None)


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
    digits = re.sub("[, ]", "", match["digits"])
    exponent = _exponent(match["e"] or match["power"] or "0")
    whole, _, decimals = digits.partition(".")
    if exponent is None or len(whole) > MAX_DIGITS:
        return None
    value = Fraction(f"{whole or 0}.{decimals[:MAX_DIGITS] or 0}") * Fraction(10) ** exponent
    return Number(_signed(match, value), exact="." not in digits)


def _read_repeating(match: re.Match[str]) -> Number | None:
    """`0.1` and a 6 that repeats: 1/10 + 6/90."""
    once, period = match["once"], match["over"] or match["bracketed"] or match["dots"]
    if max(len(match["whole"]), len(once), len(period)) > MAX_DIGITS:
        return None
    value = Fraction(f"{match['whole'] or 0}.{once or 0}")
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(once))
    return Number(_signed(match, value), exact=True)


def _read_power(match: re.Match[str]) -> Number | None:
    exponent = _exponent(match["power"])
    if exponent is None:
        return None
    return Number(_signed(match, Fraction(10) ** exponent), exact=True)


def _exponent(digits: str) -> int | None:
    """The power of ten, or None where it is out of bounds."""
    exponent = int(digits) if len(digits.lstrip("+-0")) <= len(str(MAX_EXPONENT)) else None
    return exponent if exponent is not None and abs(exponent) <= MAX_EXPONENT else None


def _read_fraction(match: re.Match[str]) -> Number | None:
    top, bottom = (match[a] or match[b] for a, b in (("a", "c"), ("b", "d")))
    parts = [_read_plain(part) for part in (top, bottom)]
    if parts[0] is None or parts[1] is None or parts[1].value == 0:
        return None
    # `-1./3` is a third all the same: a quotient of whole numbers is exact.
    exact = all(part is not None and part.value.denominator == 1 for part in parts)
    return Number(_signed(match, parts[0].value / parts[1].value), exact)


def _read_mixed(match: re.Match[str]) -> Number | None:
    figures = match["whole"], match["a"] or match["c"], match["b"] or match["d"]
    if max(map(len, figures)) > MAX_DIGITS:
        return None
    whole, top, bottom = map(int, figures)
    if not 0 < top < bottom:
        return None
    return Number(_signed(match, whole + Fraction(top, bottom)), exact=True)


def _signed(match: re.Match[str], value: Fraction) -> Fraction:
    return -value if match["sign"] == "-" else value


_READERS = (
    (_POWER_OF_TEN, _read_power),
    (_SCIENTIFIC, _read_scientific),
    (_FRACTION, _read_fraction),
    (_MIXED, _read_mixed),
    (_REPEATING, _read_repeating),
)
