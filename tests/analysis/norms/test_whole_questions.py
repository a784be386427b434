from __future__ import annotations

import numpy as np
import pytest

from l2_harness.analysis.norms.whole_questions import WholeQuestions


@pytest.mark.parametrize("responses_a_block", [1, 3, 40])
def test_every_question_comes_once_and_with_all_that_it_has(responses_a_block: int) -> None:
    rng = np.random.default_rng(0)
    question = rng.permutation(np.repeat(np.arange(8), 5))
    values = rng.normal(size=(40, 2))
    questions = WholeQuestions(np.append(np.full(7, 5), 6))  # the last lacks a response
    handed: list[np.ndarray] = []
    for start in range(0, 40, responses_a_block):
        some = slice(start, start + responses_a_block)
        own = np.unique(question[some])
        sums = [np.array([values[some][question[some] == q].sum(axis=0) for q in own])]
        handed += questions.add(question[some], sums)
    expected = np.array([values[question == q].sum(axis=0) for q in range(8)])
    found = np.concatenate(handed)
    assert np.sort(found, axis=0) == pytest.approx(np.sort(expected[:7], axis=0))
    (rest,) = questions.rest()
    assert rest == pytest.approx(expected[7:])
    assert questions.rest() == []
