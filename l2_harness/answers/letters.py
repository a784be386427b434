"""The letter of an option, wherever a response names it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from l2_harness.answers.equivalence import normalise_text
from l2_harness.answers.latex import tidy

_DEFAULT = "ABCDEFGHIJ"
#: `option C`, `the answer is C`.
_PREFIX = re.compile(
    r"(?:(?:the|my|correct|right|best|final|option|choice|letter|answer|is|选项|选|答案)\b[\s:]*)+"
    r"(?=\W*[A-Za-z](?![A-Za-z]))",
    re.IGNORECASE,
)
#: `B`, `(B)`, `B.`, `B: the quail`, `B - the quail`; not the `A` of `A quail`.
_NAMED = re.compile(r"[\s(\[{]*([A-Za-z])(?:[)\].:,}]+(?:\s.*)?|\s*=.*|\s+-+\s.*)?\s*", re.DOTALL)
_JOINS = r"\s*(?:,|/|&|;|and|or|nor|,\s*(?:and|or))\s*(?:(?:maybe|perhaps|possibly)\s+)?"
_OPTION = r"\(?(?<![A-Za-z])[A-Za-z](?![A-Za-z'])\)?"
_SEVERAL = re.compile(rf"\W*(?:both|either)?\s*{_OPTION}(?:{_JOINS}{_OPTION})+\W*", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([A-Z])\)")
#: A capital letter on its own. `A` and `I` before a word are the article and the pronoun, unless
#: the word gives a reason or says what the option is.
_ALONE = re.compile(
    r"(?<![\w'\\(-])(?![AI]\s+(?!(?:because|since|as|is|and|or|nor|which|but)\b)[a-z])"
    r"([A-Z])(?![\w'(])(?![-/][A-Za-z]{2})"
)
#: Options that are set aside: `not A`, `neither A nor B`, `rather than (C)`.
_SET_ASIDE = re.compile(
    r"(?:\b(?:not|neither|nor|never|cannot|rather than|instead of|except|unlike|exclud\w+|"
    rf"eliminat\w+|rul\w+ out)|n't)\s+(?:be\s+)?(?:options?\s+|choices?\s+)?"
    rf"{_OPTION}(?:{_JOINS}{_OPTION})*",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:because|since)\b[^.\n]*")


def letters_of(choices: Sequence[str]) -> str:
    """The letters that name these options; ten where the options are not known."""
    if not choices:
        return _DEFAULT
    return "".join(chr(ord("A") + index) for index in range(len(choices)))


def read_letter(content: str, choices: Sequence[str]) -> str | None:
    """The option that a box names, by its letter or its text; None where it names several."""
    text = tidy(content)
    by_text = _option_with_text(text, choices)
    if by_text:
        return by_text
    text = _PREFIX.sub("", text, count=1)
    named = _NAMED.fullmatch(text) if not _SEVERAL.fullmatch(text) else None
    letter = named[1].upper() if named else ""
    return letter if letter and letter in letters_of(choices) else None


def letter_in_phrase(line: str, choices: Sequence[str]) -> str | None:
    """The option that is named after "answer is"; `C or D` where several are."""
    sentence = re.split(r"(?<=[^A-Z(])\.(?:\s|$)", line, maxsplit=1)[0]
    for text in (line, sentence):
        whole = read_letter(text, choices)
        if whole:
            return whole
    # the first one named, since what follows it may set others aside
    found = _positions(sentence, choices)
    return _with_alternatives(sentence, found, 0) if found else None


def last_letter(text: str, choices: Sequence[str]) -> str | None:
    """The last option named in a text; `C or D` where the last two are alternatives."""
    last_line = text.rstrip().rsplit("\n", 1)[-1]
    whole = read_letter(last_line, choices) if len(last_line) < 200 else None
    stated = _REASON.sub("", text)
    found = [] if whole else _positions(stated, choices)
    return _with_alternatives(stated, found, len(found) - 1) if found else whole


def _positions(text: str, choices: Sequence[str]) -> list[tuple[int, str]]:
    """(place, letter) of the options that a text names and does not set aside."""
    plain = text.replace("**", "  ")
    aside = {i for match in _SET_ASIDE.finditer(plain) for i in range(*match.span())}
    matches = [*_BRACKETED.finditer(plain), *_ALONE.finditer(plain)]
    named = {(match.start(1), match[1]) for match in matches if match.start(1) not in aside}
    return sorted(one for one in named if one[1] in letters_of(choices))


def _with_alternatives(text: str, found: Sequence[tuple[int, str]], index: int) -> str:
    """One of the options named, with those that only a comma, `or` or `and` joins to it."""
    first = last = index
    while first > 0 and _joined(text, found[first - 1], found[first]):
        first -= 1
    while last + 1 < len(found) and _joined(text, found[last], found[last + 1]):
        last += 1
    return " or ".join(dict.fromkeys(letter for _, letter in found[first : last + 1]))


def _joined(text: str, one: tuple[int, str], other: tuple[int, str]) -> bool:
    gap = text[one[0] + 1 : other[0]]
    return len(gap) < 20 and bool(re.fullmatch(rf"[)*\]]*{_JOINS}[(*\[]*", gap))


def _option_with_text(text: str, choices: Sequence[str]) -> str | None:
    wanted = normalise_text(text)
    if not wanted:
        return None
    for letter, choice in zip(letters_of(choices), choices, strict=False):
        if wanted == normalise_text(choice) and not (len(wanted) == 1 and wanted.isalpha()):
            return letter
    return None
