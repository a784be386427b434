"""Documents of the mathematics sets, from rows with the hub's column names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from l2_harness.answers.boxed import last_boxed
from l2_harness.answers.equivalence import TOLERANCE
from l2_harness.answers.latex import tidy
from l2_harness.answers.parts import split_parts
from l2_harness.benchmarks.documents import Document, Row, documents_from, math_document

#: GSM8K's notes for a calculator, ``<<48/2=24>>``.
_CALCULATION = re.compile(r"<<[^<>]*>>")

if TYPE_CHECKING:
    from datasets import Dataset


def gsm8k(row: Row) -> Document:
    """openai/gsm8k: the answer follows the last ``####`` of the worked solution."""
    solution = _CALCULATION.sub("", row["answer"]).strip()
    answer = row["answer"].rsplit("####", 1)[-1].strip()
    return math_document(row["question"], [answer], worked=solution)


def problem_and_answer(row: Row) -> Document:
    """MATH-500, AIME 2024, AIME 2025: `problem`, `answer`."""
    return math_document(row["problem"], [gold_text(row["answer"])])


def question_and_answer(row: Row) -> Document:
    """AMC 2023 and Minerva's OCW problems: `question`, `answer`."""
    return math_document(row["question"], [gold_text(row["answer"])])


def svamp(row: Row) -> Document:
    """ChilleD/SVAMP: a story and a question about it; answers are floats such as 145.0."""
    body = row["Body"].strip()
    stop = "" if body.endswith((".", "!", "?", ",")) else "."
    return math_document(f"{body}{stop} {row['Question'].strip()}", [gold_text(row["Answer"])])


def olympiadbench(row: Row) -> Document:
    """OlympiadBench, open-ended English maths without images.

    `final_answer` is a list of one text, which holds several answers where `is_multiple_answer`.
    `unit` may follow an answer; `error` is the absolute difference that the set allows.
    """
    answer = ", ".join(row["final_answer"])
    parts = split_parts(tidy(answer)) if row["is_multiple_answer"] else [answer]
    unit = str(row["unit"] or "")
    return math_document(row["question"], parts, unit, _tolerance(row["error"], parts))


def gsm_plus(row: Row) -> Document:
    """qintongli/GSM-Plus: GSM8K's questions varied; `answer` is a number."""
    return math_document(row["question"], [gold_text(row["answer"])])


def gsm_plus_documents(dataset: Dataset) -> Dataset:
    """Without the questions of critical thinking, which lack a statement and have no answer."""
    return documents_from(gsm_plus)(dataset.filter(lambda row: str(row["answer"]) != "None"))


def gold_text(value: object) -> str:
    """A gold answer as text: 27 for 27.0, and of a worked solution what its last box holds."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    if text.endswith(".0") and text[:-2].lstrip("-").isdigit():
        return text[:-2]
    return last_boxed(text) or text


def _tolerance(error: object, parts: list[str]) -> float:
    """The set's absolute tolerance relative to its largest answer, never below the usual one."""
    try:
        return max(TOLERANCE, float(str(error)) / max(abs(float(part)) for part in parts))
    except ValueError:  # no tolerance, or an answer that is no decimal
        return TOLERANCE


gsm8k_documents = documents_from(gsm8k)
problem_documents = documents_from(problem_and_answer)
question_documents = documents_from(question_and_answer)
svamp_documents = documents_from(svamp)
olympiadbench_documents = documents_from(olympiadbench)
