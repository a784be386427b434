"""One response judged: its answer, whether that is right, and whether it was cut off."""

from __future__ import annotations

from dataclasses import dataclass

from l2_harness.answers.extraction import extract_answer
from l2_harness.answers.reference import Reference
from l2_harness.answers.thinking import final_text
from l2_harness.answers.verdict import Verdict


@dataclass(frozen=True)
class Judgement:
    """What one response came to.

    Attributes:
        answer: as extracted, or None.
        verdict: of the comparison with the reference; DIFFERENT where there is no answer.
        truncated: whether the response was cut off before it ended.
        characters: its length, thinking included.
        words: its length in words, thinking included.
        tokens: its length in tokens where the model class says it (attribute ``n_tokens``).
    """

    answer: str | None
    verdict: Verdict
    truncated: bool
    characters: int
    words: int
    tokens: int | None = None

    @property
    def correct(self) -> bool:
        """Whether the answer was found equal to the reference."""
        return self.verdict is Verdict.EQUAL


def judge(response: str, reference: Reference, opened: bool = False) -> Judgement:
    """Judge one response.

    Args:
        response: a str, or a subclass that carries ``finish_reason`` (`length` where it was cut)
            and ``n_tokens``.
        reference: the gold answer.
        opened: whether the prompt ended inside the thinking.
    """
    finish = getattr(response, "finish_reason", None)
    answer = extract_answer(
        response, reference.kind, reference.choices, opened, complete=finish != "length"
    )
    return Judgement(
        answer=answer,
        verdict=Verdict.DIFFERENT if answer is None else reference.compare(answer),
        truncated=_truncated(response, finish, answer, opened),
        characters=len(response),
        words=len(response.split()),
        tokens=getattr(response, "n_tokens", None),
    )


def _truncated(response: str, finish: str | None, answer: str | None, opened: bool) -> bool:
    """By the model class's own word; without it, thinking left open or no answer at all."""
    if finish is not None:
        return finish == "length"
    return answer is None or final_text(response, opened) is None
