r"""Words beside a value: units that go, scales that multiply, and words that say something more."""

from __future__ import annotations

import re

#: What a word after a number multiplies it by.
SCALES = {
    "dozen": 12,
    "万": 10**4,
    "亿": 10**8,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
#: Words that turn a value into its opposite; a row is one question, and its entries the answers.
_OPPOSITES = (
    (r"a\.?m\b\.?", r"p\.?m\b\.?"),
    (r"north\w*", r"south\w*"),
    (r"east\w*", r"west\w*"),
    (r"left", r"right"),
    (r"up(?:wards?)?", r"down(?:wards?)?"),
    (r"clockwise", r"(?:anti|counter)-?clockwise"),
    (r"(?:CE|AD)", r"(?:BCE|BC)"),
)
_OPPOSITE = tuple(
    tuple(re.compile(rf"(?<![\\A-Za-z-]){word}(?![A-Za-z])", re.IGNORECASE) for word in row)
    for row in _OPPOSITES
)
#: Words that begin a statement about the value, a bound or an alternative. What remains without
#: them is not the answer.
_STATEMENT = re.compile(
    r"[\s,(~]*(?:is|are|was|were|if|when|for|where|unless|such|or|and|but|not|mod|modulo|plus|minus|"
    r"times|(?:or |and )?(?:more|less|fewer|higher|lower)|sin|cos|tan|log|exp|ln)\b",
    re.IGNORECASE,
)
_SCALE = re.compile(
    rf"[\s~]*(?:{'|'.join(SCALES)}|percent|per cent|pct)(?![A-Za-z])", re.IGNORECASE
)
#: Single letters are symbols unless they are one of these units.
_UNIT_LETTERS = frozenset("mgshlLANJKVWCFT")
#: Units of more than one letter; `5 m` could be a product.
KNOWN_UNITS = (
    r"(?:km|cm|mm|nm|kg|mg|m[lL]|ft|lbs?|oz|hrs?|min|secs?|mph|kph|in\.|units?|degrees?|radians?|"
    r"(?:kilo|centi|milli)?met(?:er|re)s?|inch(?:es)?|feet|foot|miles?|dollars?|cents?|seconds?|"
    r"minutes?|hours?|days?|square|cubic|sq\.?|cu\.?)"
)
_KNOWN = re.compile(rf"[\s~]*{KNOWN_UNITS}(?![A-Za-z])", re.IGNORECASE)
_BEFORE = re.compile(
    r"^\s*(?:about|approximately|approx\.?|around|roughly|nearly|USD|EUR|GBP|Rs\.?)[\s~]+(?=[-\\\d$.])",
    re.IGNORECASE,
)

_TIME = re.compile(r"(?<=\d)\s*[ap]\.?m\.?$", re.IGNORECASE)


def is_unit(words: str, value: str) -> bool:
    """Whether words after a value name what is counted or measured, so that they may go.

    Args:
        words: what stands after the value, without TeX around it.
        value: what stands before it.
    """
    if not value or value[-1] in "_^{=,(-+<>&\\" or _STATEMENT.match(words) or _SCALE.match(words):
        return False
    bare = words.strip(" ~.")
    if bare.startswith("\\") or (len(bare) == 1 and bare.isascii() and bare not in _UNIT_LETTERS):
        return False
    return any(map(str.isdigit, value)) or bool(_KNOWN.match(words))


def without_remarks(text: str) -> str:
    """Without `about` or a currency's code before a number, and the half of the day after it."""
    return _TIME.sub("", _BEFORE.sub("", text, count=1))


def opposed(gold: str, answer: str) -> bool:
    """Whether two answers carry opposite words: `1:58 am` and `1:58 pm`; one may carry none."""
    for row in _OPPOSITE:
        said = [{i for i, word in enumerate(row) if word.search(text)} for text in (gold, answer)]
        if said[0] and said[1] and said[0] != said[1]:
            return True
    return False
