"""A question's gold answer, and how an answer is compared with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from l2_harness.answers.equivalence import (
    LONGEST_ANSWER,
    TOLERANCE,
    AnswerKind,
    compare_answers,
    compare_parts,
)
from l2_harness.answers.latex import tidy
from l2_harness.answers.parts import split_parts
from l2_harness.answers.verdict import Verdict


@dataclass(frozen=True)
class Reference:
    """What the right answer is.

    Attributes:
        parts: the answers, all of which must be given, in any order; most questions have one. Of
            `name`, what the right thing may be called: any of them will do.
        kind: how answers are read and compared.
        choices: of `letter`, the options' texts in order; of `word`, the allowed words.
        unit: what an answer may carry after its value, such as `km/h`.
        tolerance: relative difference up to which a decimal counts as equal.
    """

    parts: tuple[str, ...]
    kind: AnswerKind = "math"
    choices: tuple[str, ...] = ()
    unit: str = ""
    tolerance: float = TOLERANCE

    def compare(self, answer: str) -> Verdict:
        """Whether ``answer`` is right."""
        if self.kind == "name":
            verdicts = [compare_answers(part, answer, self.kind) for part in self.parts]
            return Verdict.EQUAL if Verdict.EQUAL in verdicts else Verdict.DIFFERENT
        if self.kind != "math" or len(answer) > LONGEST_ANSWER:
            return compare_answers(self.parts[0], answer, self.kind)
        answer = _without_unit(answer, self.unit)
        if len(self.parts) == 1:
            gold = _without_unit(self.parts[0], self.unit)
            return compare_answers(gold, answer, tolerance=self.tolerance)
        given = split_parts(tidy(answer))
        return compare_parts([tidy(part) for part in self.parts], given, self.tolerance)


def _without_unit(answer: str, unit: str) -> str:
    if not unit:
        return answer
    spaced = r"\s*".join(map(re.escape, tidy(unit).replace(" ", "")))
    if not spaced:
        return answer
    return re.sub(rf"\s*{spaced}s?\s*$", "", tidy(answer)) or answer
