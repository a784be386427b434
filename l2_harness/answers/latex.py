r"""Answers as models and data sets write them, brought to one notation.

:func:`tidy` keeps the value and drops how it is set: spacing, sizes, money signs, degree signs,
units in ``\text``, ``\dfrac`` against ``\frac``, a closing full stop.
"""

from __future__ import annotations

import re

_CHARACTERS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "\u00a0": " ",
        "\u202f": " ",
        "’": "'",
        "×": r"\times ",
        "·": r"\cdot ",
        "π": r"\pi ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "°": r"^{\circ}",
        "∪": r"\cup ",
        "²": "^2",
        "³": "^3",
    }
)
_SQUARE_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\w+))")
_NO_SPACE = re.compile(r"(?<!\\)\\!\s*")
# The second backslash of a matrix's row break is no space.
_SPACING = re.compile(r"(?<!\\)\\[,;: ]|~|\\q?quad\b|\\displaystyle\b|\\limits\b")
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])\.?")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree\b")
_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|mbox|hbox|mathrm|mathbf|mathsf|operatorname|bold)\s*"
    r"\{([^{}]*)\}"
)
_TRAILING_UNIT = re.compile(_TEXT.pattern + r"(?:\s*\^\s*\{?\s*-?\d\s*\}?)?\s*$")
_WRAPPER = re.compile(r"\\(?:boxed|fbox|text(?:bf|it)|mathbf|underline|overline)\s*\{(.*)\}")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\{[^{}]*\}|\d|[a-zA-Z])\s*(\{[^{}]*\}|\d+|[a-zA-Z])")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z])")
_SEPARATOR_TEXT = re.compile(r"\\(?:text|mbox|mathrm)\s*\{\s*,?\s*(and|or|,)\s*\}")


def tidy(answer: str) -> str:
    """One notation for answers that differ only in how they are set."""
    text = answer.strip().translate(_CHARACTERS)
    text = _SQUARE_ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2]}}}", text)
    text = _strip_delimiters(text)
    text = _SPACING.sub(" ", _NO_SPACE.sub("", text))
    text = re.sub(r"^\s*(?:=|\\approx\b|≈)\s*", "", text)
    text = _SIZES.sub("", text)
    text = text.replace("{,}", ",").replace("np.", "\\")
    text = re.sub(r"\\[dtc]frac", r"\\frac", text)
    text = _DEGREES.sub("", text)
    text = _SEPARATOR_TEXT.sub(r" \1 ", text)
    text = _drop_units(text)
    text = _TEXT.sub(r"\1", text)
    text = _SHORT_FRACTION.sub(_braced_fraction, text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    return re.sub(r"\s+", " ", text).strip(" ;,").rstrip(" .;,")


def _strip_delimiters(text: str) -> str:
    r"""Without ``$``, ``\(``, ``\[``, emphasis and a wrapper such as ``\mathbf{...}``."""
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text)
    text = re.sub(r"\\\$|\$|\\\(|\\\)|\\\[|\\\]", "", text).strip().strip("`").rstrip(".")
    while (wrapped := _WRAPPER.fullmatch(text.strip())) and _balanced(wrapped[1]):
        text = wrapped[1]
    return text


def _balanced(text: str) -> bool:
    depth = 0
    for character in re.sub(r"\\[{}]", "", text):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def _drop_units(text: str) -> str:
    r"""Without a last ``\text{...}`` that follows a value: `5.4 \text{ cents}` is 5.4."""
    unit = _TRAILING_UNIT.search(text)
    if unit is None:
        return text
    value = text[: unit.start()].rstrip()
    return value if value and value[-1] not in "_^{=,(-+" else text


def _braced_fraction(match: re.Match[str]) -> str:
    top, bottom = match[1], match[2]
    rest = ""
    if not bottom.startswith("{"):
        bottom, rest = bottom[0], bottom[1:]
        # `\frac{270}7`, `\frac43` and `\frac 59` end at one digit; `\frac{1}{23}` needs its braces.
    return rf"\frac{{{top.strip('{}')}}}{{{bottom.strip('{}')}}}{rest}"
