"""The letter of an option, wherever a response names it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from l2_harness.answers.equivalence import normalise_text
from l2_harness.answers.latex import tidy

_DEFAULT = "ABCDEFGHIJ"
#: `B`, `(B)`, `B.`, `B: the quail`; not the `A` of `A quail`.
_NAMED = re.compile(r"[\s(\[]*([A-Za-z])(?:[)\].:,]+(?:\s.*)?)?\s*", re.DOTALL)
_BRACKETED = re.compile(r"\(([A-Z])\)")
#: A capital letter on its own. `A` and `I` before a word are the article and the pronoun, unless
#: the word gives a reason or says what the option is.
_ALONE = re.compile(
    r"(?<![\w'\\(-])(?![AI]\s+(?!(?:because|since|as|is|and|or|which|but)\b)[a-z])"
    r"([A-Z])(?![\w'(])(?![-/])"
)


def letters_of(choices: Sequence[str]) -> str:
    """The letters that name these options; ten where the options are not known."""
    if not choices:
        return _DEFAULT
    return "".join(chr(ord("A") + index) for index in range(len(choices)))


def read_letter(content: str, choices: Sequence[str]) -> str | None:
    """The option that a box names, by its letter or its text."""
    text = tidy(content)
    by_text = _option_with_text(text, choices)
    if by_text:
        return by_text
    named = _NAMED.fullmatch(text)
    letter = named[1].upper() if named else ""
    return letter if letter and letter in letters_of(choices) else None


def letter_in_phrase(line: str, choices: Sequence[str]) -> str | None:
    """The option that is named after "answer is"."""
    sentence = re.split(r"(?<=[^A-Z(])\.(?:\s|$)", line, maxsplit=1)[0]
    for text in (line, sentence):
        whole = read_letter(re.sub(r"^(?:option|choice|letter)\s+", "", text, flags=re.I), choices)
        if whole:
            return whole
    # the first one named, since what follows it may set others aside
    found = _positions(sentence, choices)
    return found[0][1] if found else None


def last_letter(text: str, choices: Sequence[str]) -> str | None:
    """The last option named in a text."""
    found = _positions(text, choices)
    return found[-1][1] if found else None


def _positions(text: str, choices: Sequence[str]) -> list[tuple[int, str]]:
    plain = text.replace("*", "")
    matches = [*_BRACKETED.finditer(plain), *_ALONE.finditer(plain)]
    allowed = letters_of(choices)
    return sorted((match.start(1), match[1]) for match in matches if match[1] in allowed)


def _option_with_text(text: str, choices: Sequence[str]) -> str | None:
    wanted = normalise_text(text)
    if not wanted:
        return None
    for letter, choice in zip(letters_of(choices), choices, strict=False):
        if wanted == normalise_text(choice) and not (len(wanted) == 1 and wanted.isalpha()):
            return letter
    return None
