"""Graded arithmetic: right answers, small numbers, no question twice, the same at each call."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import pytest

from l2_harness.lm_eval_files.tasks import load_task
from l2_harness.studies.problems import SPLITS, load_splits, problems
from l2_harness.studies.task_files import FORMS, LEVELS, VALIDATION, task_name, write_tasks

COUNT = 60


@pytest.mark.parametrize("level", LEVELS)
def test_numbers_stay_small_and_no_question_comes_twice(level: str) -> None:
    made = list(islice(problems(**LEVELS[level]), COUNT))
    assert len({problem.question for problem in made}) == COUNT
    numbers = [int(n) for p in made for n in re.findall(r"\d+", f"{p.question} {p.answer}")]
    assert max(numbers) <= LEVELS[level]["limit"]
    assert made == list(islice(problems(**LEVELS[level]), COUNT))


def test_sums_and_differences_are_what_python_says() -> None:
    made = list(islice(problems(["sums"], [1], 20), COUNT))
    for problem in made:
        expression = problem.question.removeprefix("What is ").removesuffix("?")
        assert problem.answer == eval(expression)
        assert problem.solution == f"{expression} = {problem.answer}."
    assert {problem.family for problem in made} == {"sum", "difference"}


def test_families_take_turns() -> None:
    made = [p.family for p in islice(problems(["sums", "totals", "prices"], [1, 2], 20), 12)]
    assert made[1::3] == ["totals"] * 4
    assert made[2::3] == ["prices"] * 4


def test_a_level_with_too_few_questions_says_so() -> None:
    with pytest.raises(ValueError, match="no further problem of sums in 1 steps has numbers up to"):
        list(islice(problems(["sums"], [1], 3), 20))


def test_splits_are_apart() -> None:
    found = load_splits(**LEVELS["sums"], version=1.0)
    assert {split: len(rows) for split, rows in found.items()} == SPLITS
    asked = [row["question"] for rows in found.values() for row in rows]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("form", FORMS)
def test_task_files_are_lm_evals(tmp_path: Path, form: str) -> None:
    write_tasks(tmp_path)
    task = load_task(task_name("sums", form, VALIDATION), [tmp_path])
    (doc, *_) = task.validation_docs() if task.has_validation_docs() else task.test_docs()
    assert len(list(task.test_docs())) == SPLITS["validation"]
    assert doc["question"] in task.doc_to_text(doc)
    right, wrong = str(doc["answer"]), str(doc["answer"] + 1)
    assert task.process_results(doc, [right])["exact_match"] == 1.0
    assert task.process_results(doc, [wrong])["exact_match"] == 0.0
