"""Documents from rows with the hub's columns. The rows are invented: no benchmark row is here."""

from __future__ import annotations

from typing import Any

import pytest

from l2_harness.answers import judge
from l2_harness.benchmarks import choices, mathematics
from l2_harness.benchmarks.bbh import bbh
from l2_harness.benchmarks.documents import letter_document, reference_of
from l2_harness.benchmarks.written_answers import right_responses, wrong_responses

GPQA = {
    "Question": "Which is heaviest?",
    "Correct Answer": "lead",
    "Incorrect Answer 1": "a feather",
    "Incorrect Answer 2": "water ",
    "Incorrect Answer 3": "air",
}
MC1 = {"choices": ["No.", "Yes.", "On Mondays."], "labels": [1, 0, 0]}

#: (what makes it, row, kind, target)
CASES: list[tuple[Any, dict[str, Any], str, str]] = [
    (mathematics.gsm8k, {"question": "q", "answer": "2+3=<<2+3=5>>5\n#### 1,005"}, "math", "1,005"),
    (mathematics.problem_and_answer, {"problem": "p", "answer": "025"}, "math", "025"),
    (mathematics.problem_and_answer, {"problem": "p", "answer": 25}, "math", "25"),
    (mathematics.question_and_answer, {"question": "q", "answer": 27.0}, "math", "27"),
    (mathematics.question_and_answer,
     {"question": "q", "answer": r"first \boxed{1}, hence \[\boxed{2}\]."}, "math", "2"),
    (mathematics.svamp, {"Body": "2 cats", "Question": "Now?", "Answer": "2.0"}, "math", "2"),
    (choices.mmlu_pro, {"question": "q", "options": ["x", "y", "z"], "answer": "C"}, "letter", "C"),
    (choices.arc, {"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]},
                   "answerKey": "2"}, "letter", "B"),
    (choices.arc, {"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]},
                   "answerKey": "A"}, "letter", "A"),
    (choices.logiqa2, {"text": "t", "question": "q", "options": ["w", "x", "y", "z"], "answer": 3},
     "letter", "D"),
    (choices.zebra, {"puzzle": "p", "question": "q", "choices": ["Eric", "Ann"], "answer": "Ann"},
     "letter", "B"),
    (choices.pubmedqa, {"question": "q", "context": {"contexts": ["a", "b"]},
                        "final_decision": "maybe"}, "word", "maybe"),
    (choices.pubmedqa_closed, {"question": "q", "final_decision": "no"}, "word", "no"),
    (choices.hellaswag, {"activity_label": "Cooking", "ctx_a": "A pan.", "ctx_b": "she",
                         "endings": ["eats. [step] Done", "runs", "sings", "cries"], "label": "2"},
     "letter", "C"),
    (choices.nq_open, {"question": "who wrote it", "answer": ["The Beatles", "John Lennon"]},
     "name", "The Beatles"),
    (mathematics.gsm_plus, {"question": "q", "answer": "1,005"}, "math", "1,005"),
    (bbh, {"input": "q\nOptions:\n(A) x\n(B) y", "target": "(B)"}, "letter", "B"),
    (bbh, {"input": "q\nOptions:\n(A) Up\n(B) Heat", "target": "Heat"}, "letter", "B"),
    (bbh, {"input": "not True is", "target": "False"}, "word", "False"),
    (bbh, {"input": "q", "target": "yes"}, "word", "Yes"),
    (bbh, {"input": "q", "target": "invalid"}, "word", "invalid"),
    (bbh, {"input": "((1 + 2)) =", "target": "-3"}, "math", "-3"),
    (bbh, {"input": "Close: { [ (", "target": ") ] }"}, "text", ") ] }"),
    (bbh, {"input": "Sort: cat ant", "target": "ant cat"}, "text", "ant cat"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__} {case[3]}")
def test_rows_become_documents_that_score(case: tuple[Any, dict[str, Any], str, str]) -> None:
    make, row, kind, target = case
    document = make(row)
    assert (document["kind"], document["target"]) == (kind, target)
    reference = reference_of(document)
    for form, response in right_responses(document):
        assert judge(response, reference).correct, (form, response)
    for form, response in wrong_responses(document):
        assert not judge(response, reference).correct, (form, response)


def test_any_name_will_do() -> None:
    document = choices.nq_open(
        {"question": "who wrote it?", "answer": ["The Beatles", "J. Lennon"]}
    )
    assert document["prompt"] == "Who wrote it?"
    reference = reference_of(document)
    for right in ("beatles", "the Beatles.", "J Lennon", '"The Beatles"'):
        assert judge(f"Well. The answer is: {right}", reference).correct, right
    for wrong in ("Beatles songs", "Lennon", "the", ""):
        assert not judge(f"Well. The answer is: {wrong}", reference).correct, wrong


def test_a_scene_and_its_endings() -> None:
    row = {
        "activity_label": "Baking",
        "ctx_a": "[header] How to bake [title] Mix.",
        "ctx_b": "then",
    }
    document = choices.hellaswag({**row, "endings": ["a [step] b", "c", "d", "e"], "label": 0})
    assert document["prompt"].startswith("Baking: How to bake. Mix. Then\n\nWhich")
    assert document["choices"] == ["a b", "c", "d", "e"]


def test_questions_without_an_answer_are_left_out() -> None:
    from datasets import Dataset

    rows = [{"question": "q", "answer": "3"}, {"question": "r", "answer": "None"}]
    found = mathematics.gsm_plus_documents(Dataset.from_list(rows))
    assert [one["target"] for one in found] == ["3"]


@pytest.mark.parametrize("make", [choices.gpqa, choices.truthfulqa])
def test_shuffled_options_are_the_same_in_every_run(make: Any) -> None:
    row: dict[str, Any] = GPQA | {"question": "Is it?", "mc1_targets": MC1}
    document = make(row)
    assert document == make(dict(row))
    right = document["choices"][ord(document["target"]) - ord("A")]
    assert right in ("lead", "No.")
    assert f"({document['target']}) {right}" in document["prompt"]


def test_shuffled_options_depend_on_the_question_and_spread_evenly() -> None:
    rows = [GPQA | {"Question": f"Question {number}?"} for number in range(400)]
    letters = [choices.gpqa(row)["target"] for row in rows]
    for letter in "ABCD":
        assert 60 <= letters.count(letter) <= 140


def test_truthfulqa_needs_one_true_option() -> None:
    with pytest.raises(ValueError, match="2 true options"):
        choices.truthfulqa(
            {"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]}}
        )


def test_gold_letter_must_name_an_option() -> None:
    with pytest.raises(ValueError, match="names none of 2 options"):
        letter_document("q", ["x", "y"], "C")


def olympiad(**fields: Any) -> dict[str, Any]:
    row = {"question": "q", "is_multiple_answer": False, "unit": None, "error": None}
    return {**row, **fields}


def test_olympiadbench_answers() -> None:
    several = mathematics.olympiadbench(
        olympiad(final_answer=["$69$,$84$"], is_multiple_answer=True)
    )
    assert several["parts"] == ["69", "84"]
    with_unit = mathematics.olympiadbench(olympiad(final_answer=["$50$"], unit="minutes"))
    assert judge(r"\boxed{50 \text{ minutes}}", reference_of(with_unit)).correct
    rounded = mathematics.olympiadbench(olympiad(final_answer=["2.0"], error="1e-1"))
    assert judge(r"\boxed{2.05}", reference_of(rounded)).correct
    assert not judge(r"\boxed{2.2}", reference_of(rounded)).correct
