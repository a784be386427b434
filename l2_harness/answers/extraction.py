r"""The answer that a response gives.

Three rules, in this order: the last ``\boxed{...}``; the last "answer is" (also "Answer:" and
GSM8K's ``####``); the last number, letter or allowed word. Thinking is left out first. A response
whose thinking never closed, or that ends inside a box, has no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from l2_harness.answers.boxed import ends_in_box, last_boxed
from l2_harness.answers.equivalence import AnswerKind
from l2_harness.answers.letters import last_letter, letter_in_phrase, read_letter
from l2_harness.answers.mathematics import last_number, math_in_phrase
from l2_harness.answers.thinking import final_text
from l2_harness.answers.words import last_word, text_in_phrase, word_in_phrase

_PHRASE = re.compile(
    r"(?:\banswers?\b(?:\s*\*\*)?[^.\n:=]{0,60}?(?:\bis\b|\bare\b|\bbe\b|:|=)|####)",
    re.IGNORECASE,
)
_OPTION_PHRASE = re.compile(
    r"\b(?:correct|right|best)\s+(?:option|choice|statement)\b[^.\n:=]{0,40}?(?:\bis\b|:)",
    re.IGNORECASE,
)
_DISPLAYED = re.compile(r"\$\$.+?\$\$|\\\[.+?\\\]", re.DOTALL)
_MARKUP = " \t*_`:"

Reader = Callable[[str, Sequence[str]], "str | None"]

#: kind -> (what a box holds, what follows "answer is", the last resort).
_READERS: dict[AnswerKind, tuple[Reader, Reader, Reader]] = {
    "math": (lambda text, _: text, math_in_phrase, last_number),
    "letter": (read_letter, letter_in_phrase, last_letter),
    "word": (word_in_phrase, word_in_phrase, last_word),
    "text": (lambda text, _: text, text_in_phrase, lambda *_: None),
}


def extract_answer(
    text: str,
    kind: AnswerKind = "math",
    choices: Sequence[str] = (),
    opened: bool = False,
    complete: bool = True,
) -> str | None:
    """The answer of a response, or None where it gives none.

    Args:
        text: the response.
        kind: what is asked for.
        choices: of `letter`, the options' texts in order (an option's text then counts as its
            letter); of `word`, the allowed words.
        opened: whether the prompt ended inside the thinking.
        complete: False for a response cut at its length limit, of which only a box counts.
    """
    answer_text = final_text(text, opened)
    if answer_text is None or ends_in_box(answer_text):
        return None
    read_box, read_phrase, last_resort = _READERS[kind]
    content = last_boxed(answer_text)
    boxed = read_box(content, choices) if content is not None else None
    if boxed is not None or not complete:
        return boxed
    for phrase in _phrases(answer_text, kind):
        found = read_phrase(phrase, choices)
        if found is not None:
            return found
    # A box that holds none of the options is an answer all the same, and not a right one.
    return last_resort(answer_text, choices) if content is None else None


def _phrases(text: str, kind: AnswerKind) -> Iterator[str]:
    """What follows each "answer is", the last one first: a line, or a displayed formula."""
    ends = [match.end() for match in _PHRASE.finditer(text)]
    if kind == "letter":
        ends += [match.end() for match in _OPTION_PHRASE.finditer(text)]
    for end in sorted(ends, reverse=True):
        rest = text[end:].lstrip(_MARKUP + "\n")
        displayed = _DISPLAYED.match(rest)
        line = displayed[0] if displayed else rest.split("\n", 1)[0].strip()
        if line and not re.match(r"not\b", line):
            yield line
