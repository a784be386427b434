"""What a response answers, for a vote, told from the response and its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2_harness.answers import ANSWER_KINDS, AnswerKind, extract_answer


def answer_kind(doc: Any, said: str = "auto") -> AnswerKind:
    """How a document's answers compare: as the user says, as the document says, else ``math``.

    Args:
        doc: lm-eval's document; this project's benchmark tasks have a field ``kind``.
        said: a kind, or ``auto``.
    """
    own = doc.get("kind") if isinstance(doc, Mapping) else None
    for kind in ANSWER_KINDS:
        if kind == (own if said == "auto" else said):
            return kind
    return "math"


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
