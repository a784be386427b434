"""Answers in words: one of a few allowed ones, or free text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from l2_harness.answers.equivalence import normalise_text


def word_in_phrase(line: str, choices: Sequence[str]) -> str | None:
    """The first allowed word of a phrase or a box."""
    found = _occurrences(line, choices)
    return found[0] if found else None


def last_word(text: str, choices: Sequence[str]) -> str | None:
    """The last allowed word of a text."""
    found = _occurrences(text, choices)
    return found[-1] if found else None


def text_in_phrase(line: str, _: Sequence[str]) -> str | None:
    """The rest of the line after "answer is"."""
    text = line.strip().strip('*"`').rstrip(" .")
    return text if normalise_text(text) else None


def _occurrences(text: str, choices: Sequence[str]) -> list[str]:
    """The allowed words in the order of the text, whole words in any case."""
    if not choices:
        return []
    words = "|".join(sorted(map(re.escape, choices), key=len, reverse=True))
    found = re.findall(rf"(?<![\w'-])({words})(?![\w'-])", text, re.IGNORECASE)
    by_lower = {choice.casefold(): choice for choice in choices}
    return [by_lower[word.casefold()] for word in found]
