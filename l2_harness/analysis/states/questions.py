"""Questions: what the responses of several tasks have in common, and how they are halved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def question_id(doc: Any, prompt_hash: str) -> str:
    """16 hex digits of a document's content, of its prompt where no document was logged.

    The same document in a thinking and in a direct task is the same question.
    """
    if doc is None:
        return prompt_hash[:16]
    content = json.dumps(doc, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode("ascii")).hexdigest()[:16]


def question_order(questions: Iterable[str], seed: int) -> list[str]:
    """The different questions in an order that the seed alone decides, not their number."""
    return sorted(set(questions), key=lambda q: hashlib.sha256(f"{seed}\n{q}".encode()).digest())


def halves(questions: Iterable[str], seed: int) -> tuple[list[str], list[str]]:
    """The first half of :func:`question_order`, and the other."""
    order = question_order(questions, seed)
    middle = (len(order) + 1) // 2
    return order[:middle], order[middle:]
