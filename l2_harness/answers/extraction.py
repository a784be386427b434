r"""The answer that a response gives.

Three rules, in this order: the last ``\boxed{...}``; the last "answer is" (also "Answer:" and
GSM8K's ``####``); the last formula, number, letter or allowed word. Thinking is left out first. A
response whose thinking never closed, or that ends inside a box, has no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from l2_harness.answers.boxed import ends_in_box, last_boxed
from l2_harness.answers.characters import plain_characters
from l2_harness.answers.equivalence import AnswerKind, equivalent
from l2_harness.answers.letters import last_letter, letter_in_phrase, read_letter
from l2_harness.answers.mathematics import LONGEST_LINE, last_value, math_in_phrase
from l2_harness.answers.thinking import final_text
from l2_harness.answers.words import last_word, text_in_phrase, word_in_phrase

#: "Answer" in the languages of common mathematics sets.
_ANSWER = (
    r"\banswers?\b|\brespuestas?\b|\bresposta\b|\bréponse\b|\brisposta\b|\bAntwort\b|\bответ\b|"
    r"答案?|答え|回答|정답|답"
)
_IS = r"\bis\b|\bare\b|\bbe\b|\bes\b|\best\b|\bé\b|\bè\b|\bist\b|是|为|為|は|은|는|:|=|："
_PHRASE = re.compile(
    rf"(?:(?:{_ANSWER})(?:\s*\*\*)?[^.\n:=]{{0,60}}?(?:{_IS})|####)", re.IGNORECASE
)
#: `A: 50` on a line of its own, as few-shot prompts have it; not where A is an option.
_SHORT_PHRASE = re.compile(r"^[ \t*]*A[ \t*]*:", re.MULTILINE)
_OPTION_PHRASE = re.compile(
    r"\b(?:correct|right|best)\s+(?:option|choice|statement)\b[^.\n:=]{0,40}?(?:\bis\b|:)|"
    r"(?:故|应|答案)?选(?:择|项)?\s*:?",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:not|cannot|never)\b|n't\b", re.IGNORECASE)
#: How many of a text's last phrases are read: a response that says more often what it does not
#: answer has no more to say.
MOST_PHRASES = 64
_DISPLAYED = re.compile(r"\$\$.+?\$\$|\\\[.+?\\\]", re.DOTALL)
_AFTER_MARKUP = re.compile(r"[\s*_`:]*")

Reader = Callable[[str, Sequence[str]], "str | None"]

#: kind -> (what a box holds, what follows "answer is", the last resort).
_READERS: dict[AnswerKind, tuple[Reader, Reader, Reader]] = {
    "math": (lambda text, _: text, math_in_phrase, last_value),
    "letter": (read_letter, letter_in_phrase, last_letter),
    "word": (word_in_phrase, word_in_phrase, last_word),
    "text": (lambda text, _: text, text_in_phrase, lambda *_: None),
    "name": (lambda text, _: text, text_in_phrase, lambda *_: None),
}

_PATTERNS_BY_KIND = {
    "math": (_SHORT_PHRASE,),
    "word": (_SHORT_PHRASE,),
    "letter": (_OPTION_PHRASE,),
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
    final = final_text(text, opened)
    if final is None or ends_in_box(final):
        return None
    answer_text = plain_characters(final)
    read_box, read_phrase, last_resort = _READERS[kind]
    content = last_boxed(answer_text, partial(equivalent, kind=kind))
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
    patterns = [_PHRASE, *_PATTERNS_BY_KIND.get(kind, ())]
    matches = (match for pattern in patterns for match in pattern.finditer(text))
    ends = sorted({match.end() for match in matches if not _NEGATED.search(match[0])})
    for end in reversed(ends[-MOST_PHRASES:]):
        start = _AFTER_MARKUP.match(text, end).end()  # type: ignore[union-attr]  # may be empty
        displayed = _DISPLAYED.match(text, start, start + LONGEST_LINE)
        newline = text.find("\n", start, start + LONGEST_LINE)
        stop = newline if newline >= 0 else start + LONGEST_LINE
        line = displayed[0] if displayed else text[start:stop].strip()
        if line and not _NEGATED.match(line):
            yield line
