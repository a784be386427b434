"""pass@k, the vote and the groups, against slow definitions."""

from __future__ import annotations

from itertools import combinations
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.answers import group_answers, majority_accuracy, pass_at_k
from l2_harness.answers.estimators import sample_sizes


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_response(n: int) -> None:
    for correct in range(n + 1):
        outcomes = [True] * correct + [False] * (n - correct)
        for k in range(1, n + 1):
            subsets = list(combinations(outcomes, k))
            expected = sum(any(subset) for subset in subsets) / len(subsets)
            assert isclose(pass_at_k(n, correct, k), expected, abs_tol=1e-12)


def test_pass_at_one_is_the_mean_and_pass_at_n_whether_any_is_right() -> None:
    assert pass_at_k(8, 3, 1) == pytest.approx(3 / 8)
    assert (pass_at_k(8, 0, 8), pass_at_k(8, 1, 8)) == (0, 1)


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 5, 1), (4, 1, 5), (4, 1, 0), (4, -1, 1)])
def test_pass_at_k_refuses_what_makes_no_sense(n: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k"):
        pass_at_k(n, correct, k)


@pytest.mark.parametrize(
    ("n", "sizes"), [(1, []), (2, [2]), (3, [2, 3]), (8, [2, 4, 8]), (10, [2, 4, 8, 10])]
)
def test_sample_sizes(n: int, sizes: list[int]) -> None:
    assert sample_sizes(n) == sizes


def test_groups_are_by_equivalence() -> None:
    answers = [r"\frac{1}{2}", "0.5", "2", None, "1/2", "2.0", "3"]
    assert group_answers(answers) == [[0, 1, 4], [2, 5], [6]]
    assert group_answers([None, None]) == []
    assert group_answers(["(A)", "a", "B"], "letter") == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("answers", "gold", "expected"),
    [
        (["1", "1", "2"], "1", 1),
        (["1", "2", "2"], "1", 0),
        (["1", "2"], "1", 0.5),  # a tie
        (["1", "2", "3"], "1", 1 / 3),
        ([None, None, "1"], "1", 1),  # silence is no vote
        ([None, None], "1", 0),
        (["0.5", "1/2", "2", "3"], "0.5", 1),
    ],
)
def test_majority(answers: list[str | None], gold: str, expected: float) -> None:
    correct = [
        answer is not None and group_answers([gold, answer]) == [[0, 1]] for answer in answers
    ]
    assert majority_accuracy(group_answers(answers), correct) == pytest.approx(expected)


@given(st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=9))
def test_majority_is_the_mean_over_ways_to_break_the_tie(answers: list[str]) -> None:
    most = max(answers.count(answer) for answer in answers)
    leaders = {answer for answer in answers if answers.count(answer) == most}
    correct = [answer == "1" for answer in answers]
    assert majority_accuracy(group_answers(answers), correct) == pytest.approx(
        ("1" in leaders) / len(leaders)
    )
