"""What a response answers, for a vote, told from the response and its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2_harness.answers import ANSWER_KINDS, AnswerKind, extract_answer


def answer_kind(doc: Any, said: str = "auto") -> AnswerKind:
    """How a document's answers compare: as the user says, as the document says, else ``math``.

    Args:
        doc: lm-eval's document; this project's benchmark tasks have a field ``kind``.
        said: a kind, or ``auto``.
    """
    for kind in ANSWER_KINDS:
        if kind == said:
            return kind
    return said_kind(doc) or "math"


def said_kind(doc: Any) -> AnswerKind | None:
    """What a document says that it asks for; None for one that says nothing."""
    own = doc.get("kind") if isinstance(doc, Mapping) else None
    return next((kind for kind in ANSWER_KINDS if kind == own), None)


def vote_answer(
    response: str, doc: Any, kind: AnswerKind, *, opened: bool = False, truncated: bool = False
) -> str | None:
    """The answer that a response gives, or None.

    Args:
        response: as lm-eval gets it.
        doc: its document, whose ``choices`` are the options.
        kind: of :func:`answer_kind`.
        opened: whether the prompt ended inside the thinking and the response still holds it.
        truncated: whether the token limit cut it off, so that only a box counts.
    """
    choices = doc.get("choices") if isinstance(doc, Mapping) else None
    options = [str(c) for c in choices] if isinstance(choices, list | tuple) else []
    return extract_answer(response, kind, options, opened, complete=not truncated)


def vote_answers(
    responses: Sequence[str],
    doc: Any,
    kind: AnswerKind,
    *,
    opened: bool = False,
    truncated: Sequence[bool],
) -> tuple[list[str | None], bool]:
    """What the responses to one prompt answer, and whether cut-off ones had to be read as whole.

    Of a cut-off response only a box counts. Where no response has an answer by that rule, as
    when a task's ``max_gen_toks`` is the length of an answer, a vote would be the first sample:
    cut-off responses then answer what they would if they had ended there.

    Args:
        responses: (n,) as lm-eval gets them.
        doc: their document.
        kind: of :func:`answer_kind`.
        opened: as for :func:`vote_answer`.
        truncated: (n,) whether the token limit cut each off.
    """

    def read(cut: Sequence[bool]) -> list[str | None]:
        return [
            vote_answer(text, doc, kind, opened=opened, truncated=is_cut)
            for text, is_cut in zip(responses, cut, strict=True)
        ]

    answers = read(truncated)
    if any(answer is not None for answer in answers) or not any(truncated):
        return answers, False
    answers = read([False] * len(responses))
    return answers, any(answer is not None for answer in answers)
