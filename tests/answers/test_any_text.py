"""Any text whatever: nothing raises, and time grows with the text, not with its square."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2_harness.answers import (
    AnswerKind,
    Reference,
    Verdict,
    compare_answers,
    equivalence,
    extract_answer,
    final_text,
    group_answers,
    judge,
)
from l2_harness.answers.estimators import compare_all
from l2_harness.answers.sympy_client import SympyClient

KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)

#: What answers are made of, so that random texts come near to them.
PIECES = (
    r"\boxed{", r"\boxed", "}", "{", "$", "$$", r"\(", r"\)", r"\[", r"\]", r"\frac", r"\sqrt{",
    r"\text{", r"\overline{", r"\left(", r"\right)", "(", ")", "[", "]", ",", ";", "=", "<",
    r"\le ",
    "|", r"\mid", r"\cup ", r"\in ", r"\approx ", r"\pm ", "x", "A", "'", "e", "i", "1", "12", ".5",
    "1,000", "1" * 4301, "0." + "3" * 4301, "10^", "e400", "e9999", "½", "⁶", "－3", "٣", "\u200f",
    "\ud800", "€", "%", " percent", " million", " and ", " or ", " am", "The answer is ", "Answer:",
    "#### ", "A: ", "not ", "答案是", "<think>", "</think>", "◁think▷", "**", "\n", "\\", "_8", "-",
    r"\begin{cases}", r"\\", "&", r"\end{cases}", "\x00", "²", "0/0", "1/0", r"\{", r"\}", ":", "!",
)  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


@given(texts, st.sampled_from(KINDS), st.booleans(), st.booleans())
@settings(max_examples=600, deadline=None)
def test_no_text_raises_when_an_answer_is_extracted(
    text: str, kind: AnswerKind, opened: bool, complete: bool
) -> None:
    choices = ("Yes", "No") if kind in ("word", "letter") else ()
    assert isinstance(extract_answer(text, kind, choices, opened, complete), str | None)
    assert isinstance(final_text(text, opened), str | None)


@given(texts, texts, st.sampled_from(KINDS))
@settings(max_examples=400, deadline=None)
def test_no_text_raises_when_it_is_compared(gold: str, answer: str, kind: AnswerKind) -> None:
    assert isinstance(compare_answers(gold, answer, kind), Verdict)
    parts = (gold, answer) if kind == "math" else (gold,)
    assert isinstance(judge(rf"\boxed{{{answer}}}", Reference(parts, kind, (), "km")).correct, bool)


@pytest.mark.parametrize(
    ("response", "gold", "correct"),
    [
        (rf"\boxed{{{'1' * 4301}}}", "1" * 4301, True),
        (rf"\boxed{{{'1' * 4301}}}", "1" * 4300 + "2", False),
        (f"So x = 0.{'3' * 6000}", r"\frac{1}{3}", True),
        (f"The answer is 0.{'3' * 6000}4", "0.3", False),
        (f"The answer is {'7' * 5000}/{'3' * 5000}.", "7/3", False),
        (f"\\boxed{{1e{'9' * 5000}}}", "5", False),
        (f"\\boxed{{10^{{{'9' * 5000}}}}}", "5", False),
        (f"\\boxed{{{'9' * 5000} \\frac{{1}}{{2}}}}", "5", False),
        (f"\\boxed{{{'9' * 5000} million}}", "5", False),
        (f"\\boxed{{0.\\overline{{{'3' * 5000}}}}}", "5", False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_more_figures_than_python_reads(response: str, gold: str, correct: bool) -> None:
    assert judge(response, Reference((gold,))).correct is correct


#: name -> a response that grows with n, in characters.
GROWING: dict[str, Callable[[int], str]] = {
    "box left open on each line": lambda n: "\\boxed{1\n" * (n // 9),
    "box left open": lambda n: "\\boxed{1 " * (n // 9),
    "answer is, formula left open": lambda n: "answer is " + r"\(" * (n // 2),
    "answer is, dollar signs": lambda n: "answer is " + "$ " * (n // 2),
    "a long product in a box": lambda n: r"\boxed{x" + " A" * (n // 2) + "}",
    "answer is not, again and again": lambda n: "The answer is not this. " * (n // 24),
    "answer is unclear": lambda n: "The answer is hard to tell from what is given. " * (n // 47),
    "the word alone": lambda n: "answer " * (n // 7),
    "thinking named": lambda n: "x <think>" * (n // 9),
    "boxes in a row": lambda n: r"\boxed{5} " * (n // 10),
    "figures": lambda n: "1" * n,
    "numbers": lambda n: "we add 3 and 4, " * (n // 16),
    "dollar signs": lambda n: "$" * n,
    "backslashes": lambda n: "\\" * n,
    "stars": lambda n: "*" * n,
    "spaces": lambda n: "The answer is" + " " * n,
    "braces": lambda n: r"\boxed{" + "{" * n,
    "lines of A:": lambda n: "A:\n" * (n // 3),
    "letters": lambda n: "A or " * (n // 5),
}


def processor_seconds(task: Callable[[], Any]) -> float:
    """The least of three runs."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        task()
        taken.append(time.process_time() - begun)
    return min(taken)


@pytest.mark.parametrize("name", GROWING)
def test_time_grows_with_the_text(name: str) -> None:
    kind: AnswerKind = "letter" if name == "letters" else "math"
    reference = Reference(("A",) if kind == "letter" else ("5",), kind, ())
    make = GROWING[name]
    short, long = (
        processor_seconds(lambda n=n: judge(make(n), reference))  # type: ignore[misc]
        for n in (50_000, 200_000)
    )
    # four times the text: about four times the time where it is linear, sixteen where quadratic
    assert long < 9 * max(short, 0.01)


def test_what_never_ends_is_tried_once() -> None:
    client = SympyClient(seconds=1)
    asked: list[str] = []
    ask = client._ask
    client._ask = lambda *of: asked.append(of[1]) or ask(*of)  # type: ignore[func-returns-value,method-assign]
    try:
        for other in ("x+1", "x+2", "x+3"):
            assert client.compare(other, "10^{10^{10}}", 1e-6) is not Verdict.EQUAL
            assert client.compare("10^{10^{10}}", other, 1e-6) is not Verdict.EQUAL
        assert asked == ["10^{10^{10}}"]
        assert client.compare("x+1", "1+x", 1e-6) is Verdict.EQUAL
    finally:
        client.close()


def test_votes_have_a_budget(caplog: pytest.LogCaptureFixture) -> None:
    stuck = [rf"9^{{9^{{9^{{{n}}}}}}} + x_{{{n}}}" for n in range(9, 12)]
    answers = ["x+1", "1+x", "y+1", *stuck, "1+y"]
    begun = time.thread_time()
    grouping = compare_all(answers, seconds=2)
    assert time.thread_time() - begun < 2  # the worker's time is its own
    assert [0, 1] in grouping.groups
    assert {index for group in grouping.groups for index in group} == set(range(len(answers)))
    assert grouping.unverified
    assert [0, 1] in group_answers(answers, seconds=0.5)
    assert "could not be compared" in caplog.text


def test_long_lists_compare_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    gold = [rf"\sqrt{{{n}}}+x^{{{n}}}" for n in range(2, 402)]
    same = [rf"x^{{{n}}}+\sqrt{{{n}}}" for n in range(2, 402)]
    other = [rf"x^{{{n}}}-\sqrt{{{n}}}" for n in range(2, 402)]
    assert compare_answers(", ".join(gold), ", ".join(reversed(gold))) is Verdict.EQUAL
    monkeypatch.setattr(equivalence, "ANSWER_SECONDS", 2)
    begun = time.thread_time()
    assert compare_answers(", ".join(gold), ", ".join(same)) is not Verdict.DIFFERENT
    assert compare_answers(", ".join(gold), ", ".join(reversed(other))) is not Verdict.EQUAL
    assert time.thread_time() - begun < 8  # this thread's; the worker's is within the budget
