"""What every task's documents look like, whatever data set they come from.

The prompt templates, ``tasks/_thinking_yaml``, ``tasks/_direct_yaml`` and ``tasks/_base_yaml``, use
`prompt`, `answer_format` and `worked`; scoring uses the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from l2_harness.answers import AnswerKind, Reference
from l2_harness.answers.equivalence import TOLERANCE

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class Document(TypedDict):
    r"""One question.

    prompt: the question, its options included.
    answer_format: the sentence that says how to give the answer.
    target: the gold answer as text, for lm-eval's sample files.
    worked: the gold answer as a few-shot example gives it, with its solution where the set has one.
    parts, kind, choices, unit, tolerance: see :class:`l2_harness.answers.Reference`.
    """

    prompt: str
    answer_format: str
    target: str
    worked: str
    parts: list[str]
    kind: AnswerKind
    choices: list[str]
    unit: str
    tolerance: float


def math_document(
    prompt: str,
    parts: Sequence[str],
    unit: str = "",
    tolerance: float = TOLERANCE,
    worked: str | None = None,
) -> Document:
    r"""A question whose answer is mathematical, given within ``\boxed{}``."""
    target = ", ".join(parts)
    formula = target if _NUMBER.fullmatch(target) else f"${target.strip('$')}$"
    return Document(
        prompt=prompt.strip(),
        answer_format=r"Put your final answer within \boxed{}.",
        target=target,
        worked=worked or f"The answer is {formula}.",
        parts=list(parts),
        kind="math",
        choices=[],
        unit=unit,
        tolerance=tolerance,
    )


def letter_document(prompt: str, choices: Sequence[str], letter: str) -> Document:
    """A question with options, which the prompt holds already.

    Raises:
        ValueError: ``letter`` names none of the options.
    """
    if not 0 <= ord(letter) - ord("A") < len(choices):
        raise ValueError(f"the gold answer {letter!r} names none of {len(choices)} options")
    return _worded(
        prompt, "letter", r"Put the letter of the right option within \boxed{}.", letter, choices
    )


def word_document(prompt: str, words: Sequence[str], word: str) -> Document:
    """A question answered with one of a few words."""
    named = ", ".join(words[:-1]) + f" or {words[-1]}"
    return _worded(
        prompt, "word", rf"Put your final answer, {named}, within \boxed{{}}.", word, words
    )


def text_document(prompt: str, target: str, what: str) -> Document:
    """A question answered with free text, on a line of its own since it may hold brackets."""
    return _worded(prompt, "text", f'End with a line "The answer is: " and {what}.', target, ())


def name_document(prompt: str, names: Sequence[str]) -> Document:
    """A question answered with a few words, of which several may be right."""
    form = 'End with a line "The answer is: " and the answer in as few words as possible.'
    return {**_worded(prompt, "name", form, names[0], ()), "parts": list(names)}


def with_options(question: str, options: Sequence[str]) -> str:
    """A question and its options, a letter in brackets before each."""
    lines = (f"({letter_of(index)}) {option.strip()}" for index, option in enumerate(options))
    return "\n".join([question.strip(), "Options:", *lines])


def letter_of(index: int) -> str:
    """A for 0, B for 1, ..."""
    return chr(ord("A") + index)


def reference_of(document: Mapping[str, Any]) -> Reference:
    """The gold answer of a document."""
    return Reference(
        parts=tuple(document["parts"]),
        kind=document["kind"],
        choices=tuple(document["choices"]),
        unit=document["unit"],
        tolerance=document["tolerance"],
    )


def documents_from(make: Callable[[Row], Document]) -> Callable[[Dataset], Dataset]:
    """An lm-eval ``process_docs`` that makes a document of every row."""

    def process_docs(dataset: Dataset) -> Dataset:
        from datasets import Dataset as DatasetClass

        return DatasetClass.from_list([dict(make(row)) for row in dataset])

    return process_docs


def _worded(
    prompt: str, kind: AnswerKind, answer_format: str, target: str, choices: Sequence[str]
) -> Document:
    return Document(
        prompt=prompt.strip(),
        answer_format=answer_format,
        target=target,
        worked=f"The answer is: {target}" if kind == "text" else f"The answer is {target}.",
        parts=[target],
        kind=kind,
        choices=list(choices),
        unit="",
        tolerance=TOLERANCE,
    )
