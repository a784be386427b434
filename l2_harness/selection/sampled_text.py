"""A response as lm-eval gets it: a text that carries what selection needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SampledText(str):
    """A ``str`` with the signals of the response; lm-eval's filters get it as it is.

    Pickled or copied it becomes a plain ``str``: ``--use_cache`` would answer every repeat of a
    request with the same stored response, and its signals would look like those of n samples.

    Attributes:
        finish_reason: eos, stop or length; None where it is not known.
        n_tokens: how many tokens it has, thinking included; None where it is not known.
        scores: name → value; empty where nothing was recorded.
        answer: what a vote takes it for, or None.
    """

    finish_reason: str | None
    n_tokens: int | None
    scores: Mapping[str, float]
    answer: str | None

    def __new__(
        cls,
        text: str,
        *,
        finish_reason: str | None = None,
        n_tokens: int | None = None,
        scores: Mapping[str, float] | None = None,
        answer: str | None = None,
    ) -> SampledText:
        """The text with its signals."""
        self = super().__new__(cls, text)
        self.finish_reason, self.n_tokens = finish_reason, n_tokens
        self.scores = dict(scores or {})
        self.answer = answer
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)
