"""Documents of BIG-Bench Hard's subsets, whose rows are `input` and `target`.

What is asked for shows in the target: an option's letter, one of two words, a number, or text
(`dyck_languages`, `word_sorting`).
"""

from __future__ import annotations

import re

from l2_harness.benchmarks.documents import (
    Document,
    Row,
    documents_from,
    letter_document,
    letter_of,
    math_document,
    text_document,
    word_document,
)

_PAIRS = (("Yes", "No"), ("True", "False"), ("valid", "invalid"))
_OPTION = re.compile(r"^\(([A-Z])\) ?(.*)$", re.MULTILINE)
_BRACKETS = re.compile(r"[()\[\]{}<>\s]+")


def bbh(row: Row) -> Document:
    """One row of any subset."""
    question, target = row["input"].strip(), row["target"].strip()
    options = _OPTION.findall(question)
    if options:
        return _option_document(question, [text for _, text in options], target)
    for pair in _PAIRS:
        for word in pair:
            if target.casefold() == word.casefold():
                return word_document(question, pair, word)
    if re.fullmatch(r"-?\d+", target):
        return math_document(question, [target])
    what = "the closing brackets" if _BRACKETS.fullmatch(target) else "the words in order"
    return text_document(question, target, f"{what}, separated by spaces")


def _option_document(question: str, options: list[str], target: str) -> Document:
    """A target is a letter in brackets; one row of `movie_recommendation` has the option's text."""
    letter = re.fullmatch(r"\(([A-Z])\)", target)
    if letter:
        return letter_document(question, options, letter[1])
    texts = [option.strip() for option in options]
    return letter_document(question, options, letter_of(texts.index(target)))


bbh_documents = documents_from(bbh)
