r"""Every extraction rule, where it must fire and where it must not.

``responses.tsv`` holds whole responses with the answer that they must be judged by; ⏎ stands for a
line break.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, cast

import pytest

from l2_harness.answers import AnswerKind, Reference, extract_answer, judge

RESPONSES = Path(__file__).with_name("responses.tsv")

FOUR = ("a quail", "an owl", "a raven", "a falcon")

#: (rule, text, answer)
MATH = [
    ("box", r"So $\boxed{42}$.", "42"),
    ("box, last", r"\boxed{1} is wrong. It is \boxed{2}.", "2"),
    ("box before answer is", r"\boxed{3}. The answer is 4.", "3"),
    ("box, nested braces", r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
    ("box, set braces", r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
    ("box, fbox", r"\fbox{7}", "7"),
    ("box, spaced", r"\boxed {7}", "7"),
    ("box, empty one passed over", r"\boxed{5}, that is \boxed{}", "5"),
    ("box, neighbours", r"$\boxed{3}$ and $\boxed{5}$", "3, 5"),
    ("box, not neighbours", r"$\boxed{3}$, no wait, $\boxed{5}$", "5"),
    ("box, brace forgotten", r"$\boxed{\frac{1}{2}$.", r"\frac{1}{2}"),
    ("box, only in thinking", r"<think>\boxed{3}</think> It is 4.", "4"),
    ("box, cut off", r"Answer: \boxed{12", None),
    ("box, mentioned", "Put it in boxed form: 12", "12"),
    ("answer is", "The answer is 42.", "42"),
    ("answer is, last", "The answer is 4. No: the answer is 5.", "5"),
    ("answer is, before a later number", "The answer is 42. I used 3 steps.", "42"),
    ("answer is, formula", r"The answer is $x^2 + 1$.", "x^2 + 1"),
    ("answer is, round brackets", r"The final answer is \(\frac{1}{2}\).", r"\frac{1}{2}"),
    ("answer is, displayed", "**Answer:**\n\\[\n\\frac{3}{4}\n\\]", r"\frac{3}{4}"),
    ("answer is, two formulas", "The answers are $3$ and $5$.", "3, 5"),
    ("answer is, reason after it", "The answer is 5 because $x=3$.", "5"),
    ("answer is, bold", "**Final Answer:** **17**", "17"),
    ("answer is, next line", "Final answer:\n\n12 apples", "12"),
    ("answer is, colon", "Answer: -7", "-7"),
    ("answer is, of a question", "The answer to the question is 6.", "6"),
    ("answer is, money", "The answer is $1,250.50.", "$1,250.50"),
    ("answer is, percent", "The answer is 62.5%.", "62.5%"),
    ("answer is, interval", "The answer is (3, 4].", "(3, 4]"),
    ("answer is, a name", "The answer is Evelyn.", "Evelyn"),
    ("answer is, decimal", "The answer is 3.14.", "3.14"),
    ("answer is, negative", "The answer is -3 degrees.", "-3"),
    ("answer should be", "The answer should be 9, with 3 left.", "9"),
    ("answer is not", "The answer is not 5. There are 6.", "6"),
    ("answer is, in a question", "What is the answer? Count again: 8.", "8"),
    ("answer is, unknown", "The answer is hard to tell from what is given here.", None),
    ("four hashes", "3 + 4 = 7\n#### 7", "7"),
    ("three hashes are a heading", "### 1. Step\nSo 9 remain.", "9"),
    ("last number", "There are 3 cats and 4 dogs, 7 animals.", "7"),
    ("last number, separators", "It costs 1,234,567 in all", "1,234,567"),
    ("last number, negative", "So x = -12.", "-12"),
    ("last number, minus between", "The difference 5-3", "3"),
    ("last number, bold", "We get **15**.", "15"),
    ("last number, fraction", "That is 3/4 of it", "3/4"),
    ("last number, TeX fraction", r"That is $\frac{3}{4}$ of it", r"\frac{3}{4}"),
    ("last number, not in a name", "See x2, R2D2 and A1.", None),
    ("last number, none", "I do not know.", None),
    ("empty", "", None),
    ("gpt-oss without its tokens", "analysis17 or 18?assistantfinalIt is 18.", "18"),
    ("gpt-oss cut off", "analysis17 or 18", None),
    ("thinking only", "<think>The answer is 4", None),
    ("thinking opened again", "<think>a</think> 3 <think> 4", None),
]

LETTERS = [
    ("box", r"\boxed{B}", "B"),
    ("box, brackets", r"\boxed{(B)}", "B"),
    ("box, text", r"\boxed{\text{B}}", "B"),
    ("box, lower case", r"\boxed{b}", "B"),
    ("box, option after it", r"\boxed{B) an owl}", "B"),
    ("box, option alone", r"\boxed{\text{a raven}}", "C"),
    ("box, no option", r"\boxed{a swan}. It is not (B).", None),
    ("box, out of range", r"\boxed{E}", None),
    ("box, article", r"\boxed{A swan}", None),
    ("answer is", "The answer is (C).", "C"),
    ("answer is, bare", "The answer is C", "C"),
    ("answer is, full stop", "The answer is C.", "C"),
    ("answer is, bold", "**Answer: C**", "C"),
    ("answer is, option word", "The answer is option C.", "C"),
    ("answer is, its text", "The answer is an owl.", "B"),
    ("answer is, reason after it", "The answer is B because A is lighter.", "B"),
    ("answer is, A with a reason", "The answer is A because the rest are lighter.", "A"),
    ("answer is, article", "The answer is a bird, so (D).", "D"),
    ("correct option", "The correct option is (D).", "D"),
    ("answer is, last", "The answer is (A). Wait, the answer is (B).", "B"),
    ("last letter", "Neither (A) nor (B) works, hence (C).", "C"),
    ("last letter, bare", "I choose D", "D"),
    ("last letter, not an article", "It was (B). A bird flew.", "B"),
    ("last letter, not a pronoun", "It was (B), I think.", "B"),
    ("last letter, not in a word", "DNA and PhD. Vitamin-C. It's unclear", None),
    ("none", "no idea", None),
]

WORDS = [
    ("box", r"\boxed{Yes}", "Yes"),
    ("box, text", r"\boxed{\text{no}}", "No"),
    ("answer is", "The answer is no. Yes, really.", "No"),
    ("last word", "Is it so? yes, or no: Yes.", "Yes"),
    ("not in a word", "Yesterday I know nothing.", None),
    ("none", "maybe", None),
]

TEXTS = [
    ("box", r"\boxed{ant bee cat}", "ant bee cat"),
    ("answer is", "The answer is: ant bee cat", "ant bee cat"),
    ("answer is, brackets", "The answer is: ] ) }", "] ) }"),
    ("no last resort", "ant bee cat", None),
]


def _id(case: tuple[str, str, str | None]) -> str:
    return case[0]


@pytest.mark.parametrize("case", MATH, ids=_id)
def test_math(case: tuple[str, str, str | None]) -> None:
    assert extract_answer(case[1]) == case[2]


@pytest.mark.parametrize("case", LETTERS, ids=_id)
def test_letter(case: tuple[str, str, str | None]) -> None:
    assert extract_answer(case[1], "letter", FOUR) == case[2]


@pytest.mark.parametrize("case", WORDS, ids=_id)
def test_word(case: tuple[str, str, str | None]) -> None:
    assert extract_answer(case[1], "word", ("Yes", "No")) == case[2]


@pytest.mark.parametrize("case", TEXTS, ids=_id)
def test_text(case: tuple[str, str, str | None]) -> None:
    assert extract_answer(case[1], "text") == case[2]


def test_letters_without_known_options() -> None:
    assert extract_answer("The answer is J.", "letter") == "J"
    assert extract_answer("The answer is K.", "letter") is None


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({}, "5"),
        ({"opened": True}, None),  # the prompt opened the thinking and nothing closed it
        ({"complete": False}, None),  # cut at its limit: only a box would count
    ],
)
def test_what_the_text_cannot_tell(arguments: dict[str, Any], answer: str | None) -> None:
    assert extract_answer("The answer is 5", **arguments) == answer


def test_box_of_a_response_cut_later() -> None:
    assert extract_answer(r"\boxed{5}. To explain, let", complete=False) == "5"


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<thought>", "</thought>")],
)
def test_thinking_tags(opening: str, closing: str) -> None:
    assert extract_answer(f"{opening}\\boxed{{1}}{closing} So 2.") == "2"
    assert extract_answer(f"\\boxed{{1}}{closing} So 2.", opened=True) == "2"
    assert extract_answer(f"{opening}\\boxed{{1}}") is None


def responses() -> list[dict[str, str]]:
    with RESPONSES.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("row", responses(), ids=lambda r: f"{r['why']}: {r['response']}"[:60])
def test_response(row: dict[str, str]) -> None:
    kind = cast(AnswerKind, row["kind"])
    reference = Reference((row["gold"],), kind, FOUR if kind == "letter" else ())
    judged = judge(row["response"].replace("⏎", "\n"), reference)
    assert judged.correct == (row["verdict"] == "right"), judged
