"""One response judged: its answer, whether that is right, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from l2_harness.answers.ending import Ending, TokenLimit, ending_of
from l2_harness.answers.extraction import extract_answer
from l2_harness.answers.reference import Reference
from l2_harness.answers.verdict import Verdict


@dataclass(frozen=True)
class Judgement:
    """What one response came to.

    Attributes:
        answer: as extracted, or None.
        verdict: of the comparison with the reference; DIFFERENT where there is no answer.
        ending: whether the response ended or was cut off.
        characters: its length, thinking included.
        words: its length in words, thinking included.
        tokens: its length in tokens where the model class says it (attribute ``n_tokens``).
    """

    answer: str | None
    verdict: Verdict
    ending: Ending
    characters: int
    words: int
    tokens: int | None = None

    @property
    def correct(self) -> bool:
        """Whether the answer was found equal to the reference."""
        return self.verdict is Verdict.EQUAL


def judge(
    response: str, reference: Reference, opened: bool = False, limit: TokenLimit | None = None
) -> Judgement:
    """Judge one response; one of which it isn't known how it ended is read as if it had ended.

    Args:
        response: a str, or a subclass that carries ``finish_reason`` (`length` where it was cut)
            and ``n_tokens``.
        reference: the gold answer.
        opened: whether the prompt ended inside the thinking.
        limit: on its tokens, which tells of a plain str whether it was cut.
    """
    ending = ending_of(response, limit, opened)
    answer = extract_answer(
        response, reference.kind, reference.choices, opened, complete=ending is not Ending.CUT
    )
    return Judgement(
        answer=answer,
        verdict=Verdict.DIFFERENT if answer is None else reference.compare(answer),
        ending=ending,
        characters=len(response),
        words=len(response.split()),
        tokens=getattr(response, "n_tokens", None),
    )
