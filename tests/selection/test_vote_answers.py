"""What the responses to one prompt are taken for in a vote."""

from __future__ import annotations

import pytest

from l2_harness.answers import AnswerKind
from l2_harness.selection.vote_answers import vote_answers


@pytest.mark.parametrize(
    ("responses", "truncated", "answers", "read_as_whole"),
    [
        # one box is enough for the rule to hold
        (["so 3", r"\boxed{4}", "so 4"], [True, True, False], [None, "4", "4"], False),
        (["so 3", r"so \boxed{4}"], [True, True], [None, "4"], False),
        # all at the limit, none boxed
        (["so 3", "so 4", "and then 4"], [True] * 3, ["3", "4", "4"], True),
        # whole responses without an answer, and a cut one with a number
        (["no idea", "so 4"], [False, True], [None, "4"], True),
        # nothing to be had
        (["no idea", "none"], [True, True], [None, None], False),
        (["no idea", "none"], [False, False], [None, None], False),
        # thinking that never closed has no answer, however it is read
        (["<think> so 4"], [True], [None], False),
    ],
)
def test_math(
    responses: list[str], truncated: list[bool], answers: list[str | None], read_as_whole: bool
) -> None:
    found = vote_answers(responses, {}, "math", truncated=truncated)
    assert found == (answers, read_as_whole)


@pytest.mark.parametrize(("kind", "cut"), [("letter", "(B) since"), ("word", "yes and")])
def test_other_kinds(kind: AnswerKind, cut: str) -> None:
    doc = {"choices": ["yes", "no"]} if kind == "word" else {}
    found, read_as_whole = vote_answers([cut, cut], doc, kind, truncated=[True, True])
    assert read_as_whole
    assert None not in found
