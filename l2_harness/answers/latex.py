r"""Answers as models and data sets write them, brought to one notation.

:func:`tidy` keeps the value and drops how it is set: spacing, sizes, money signs, degree signs,
units in ``\text``, ``\dfrac`` against ``\frac``, a closing full stop.
"""

from __future__ import annotations

import re
from functools import lru_cache

from l2_harness.answers.characters import plain_characters
from l2_harness.answers.units import is_unit, without_remarks

_SQUARE_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\w+))")
_NO_SPACE = re.compile(r"(?<!\\)\\!\s*")
_THIN_SPACE = re.compile(r"(?<=\d)(?:(?<!\\)\\[,;: ]|~|\{,\})(?=\d{3}(?!\d))")
# The second backslash of a matrix's row break is no space.
_SPACING = re.compile(
    r"(?<!\\)\\[,;:> ]|~|\\q?quad\b|\\displaystyle\b|\\limits\b|\\(?:no)?indent\b"
)
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\.?")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree\b")
_MONEY = re.compile(r"\\(?:pounds|euro|yen|texteuro|textsterling|textdollar)\b(?:\s*\{\s*\})?")
_FONT = re.compile(r"\\(?:rm|bf|it|sf|tt|cal)(?![a-zA-Z])\s*")
_TEXT_COMMANDS = r"text(?:bf|it|rm|sf|tt|normal|up)?|mbox|hbox|mathrm"
_TEXT = re.compile(
    rf"\\(?:{_TEXT_COMMANDS}|math(?:bf|sf|it|tt)|operatorname\*?|bold|emph)\s*\{{([^{{}}]*)\}}"
)
_TRAILING_UNIT = re.compile(
    rf"\\(?:{_TEXT_COMMANDS})\s*\{{([^{{}}]*)\}}(?:\s*\^\s*\{{?\s*-?\d\s*\}}?)?\s*$"
)
_WRAPPER = re.compile(
    r"(?:\\(?:boxed|fbox|text(?:bf|it|rm)?|emph|math(?:bf|rm|sf)|boldsymbol|underline|overline)"
    r"\s*)?\{(.*)\}"
)
_SHORT_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?!\{)")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\{[^{}]*\}|\d|[a-zA-Z])\s*(\{[^{}]*\}|\d+|[a-zA-Z])")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z])")
_PYTHON_POWER = re.compile(r"\s*\*\*\s*(\([^()]*\)|-?[\w.]+)")
_EMPHASIS = re.compile(r"(?<![\w)*])\*\*(?![\s*])(.+?)(?<![\s*])\*\*(?![\w(*])")
_SEPARATOR_TEXT = re.compile(r"\\(?:text|mbox|mathrm)\s*\{\s*,?\s*(and|or|,)\s*\}")
_ALIGNED = re.compile(r"\\(?:begin|end)\{(?:align(?:ed)?|split|gather(?:ed)?)\*?\}")
#: How the same thing is written otherwise.
_SYNONYMS = (
    (  # escaped once more, as in a JSON text
        re.compile(
            r"(?<!\\)\\\\(?=(?:[dt]?frac|sqrt|text|le|ge|leq|geq|pi|infty|cdot|times|left|right|pm)\b)"
        ),
        r"\\",
    ),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\varnothing\b|\\empty(?:set)?\b|\\\{\s*\\\}"), r"\\emptyset "),
    (
        re.compile(
            r"^(?:\\text\s*\{)?\s*(?:the )?(?:empty set|no (?:real )?solutions?)\s*\}?$", re.I
        ),
        r"\\emptyset ",
    ),
    (re.compile(r"\\imath\b"), "i"),
    (re.compile(r"\\(?:leqslant|leqq|leq)\b"), r"\\le "),
    (re.compile(r"\\(?:geqslant|geqq|geq)\b"), r"\\ge "),
    (re.compile(r"\\neq\b"), r"\\ne "),
    (re.compile(r"(?<=\d\d)\s*\.\.\."), r"\\ldots "),
    (re.compile(r"\\lt\b"), "<"),
    (re.compile(r"\\gt\b"), ">"),
    (re.compile(r"\\R(?:eals)?\b"), r"\\mathbb{R}"),
    (
        re.compile(r"\^\s*(?:\{\s*((?:\\prime\s*)+)\}|(\\prime\b))"),
        lambda m: "'" * m[0].count("\\prime"),
    ),
    (re.compile(r"\s*(?:\\&|\\lor\b|\\vee\b)\s*|\s*或者?\s*"), " or "),
    (re.compile(r"\s*(?:和|与|以及)\s*"), " and "),
)


@lru_cache(maxsize=1 << 14)
def tidy(answer: str) -> str:
    """One notation for answers that differ only in how they are set."""
    text = plain_characters(answer.strip())
    text = _SQUARE_ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2]}}}", text)
    text = _strip_delimiters(_MONEY.sub("", text))
    text = _THIN_SPACE.sub(lambda gap: "," * (gap[0] == "{,}"), _NO_SPACE.sub("", text))
    text = _FONT.sub("", _SPACING.sub(" ", text))
    text = re.sub(r"^\s*(?:=|\\approx\b|≈)\s*", "", text)
    if _ALIGNED.search(text):  # a calculation over several lines, or a system
        text = re.sub(r"\\\\\s*=", " =", _ALIGNED.sub("", text).replace("&", "")).replace(
            r"\\", ", "
        )
    text = _SIZES.sub("", text).replace("{,}", ",").replace("np.", "\\")
    for pattern, replacement in _SYNONYMS:
        text = pattern.sub(replacement, text)
    text = _SEPARATOR_TEXT.sub(r" \1 ", _DEGREES.sub("", text))
    text = _TEXT.sub(r"\1", _drop_units(text))
    text = _SHORT_FRACTION.sub(_braced_fraction, text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = _PYTHON_POWER.sub(r"^{\1}", text)
    text = re.sub(r"^([-+])\s+(?=[\d.\\])", r"\1", without_remarks(text.strip()))
    return re.sub(r"\s+", " ", text).strip(" ;,").rstrip(" .;,")


def _strip_delimiters(text: str) -> str:
    r"""Without ``$``, ``\(``, ``\[``, emphasis and a wrapper such as ``\mathbf{...}``."""
    text = _EMPHASIS.sub(r"\1", text)
    text = re.sub(r"\\\$|\$|\\\(|\\\)|\\\[|\\\]", "", text).strip().strip("`").rstrip(".")
    text = _SHORT_BOX.sub("", text)
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
    r"""Without the last ``\text{...}`` that follow a value: `5.4 \text{ cents}` is 5.4."""
    while unit := _TRAILING_UNIT.search(text):
        value = text[: unit.start()].rstrip()
        if not is_unit(unit[1], value):
            break
        text = value
    return text


def _braced_fraction(match: re.Match[str]) -> str:
    top, bottom = match[1], match[2]
    rest = ""
    if not bottom.startswith("{"):
        bottom, rest = bottom[0], bottom[1:]
        # `\frac{270}7`, `\frac43` and `\frac 59` end at one digit; `\frac{1}{23}` needs its braces.
    return rf"\frac{{{top.strip('{}')}}}{{{bottom.strip('{}')}}}{rest}"
