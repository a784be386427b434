"""Who is chosen: ranking, eligibility, votes and their ties, degenerate groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2_harness.config.selectors import ALIASES, SELECTORS, Selector
from l2_harness.selection.choice import Candidates, MissingScoreError, choose
from l2_harness.selection.random_choice import selection_draw
from l2_harness.selection.ranking import best, eligible
from l2_harness.selection.votes import answer_labels, borda_weights, vote

NAN = float("nan")


def pick(
    name: str,
    scores: list[float] | None = None,
    cut: list[bool] | None = None,
    answers: list[str | None] | None = None,
    kind: Any = "math",
) -> int:
    selector = SELECTORS[name]
    n = len(scores or answers or cut or [])
    return int(
        choose(
            selector,
            Candidates(
                {selector.score: np.array(scores, dtype=float)} if scores else {},
                np.array(cut or [False] * n),
                None if answers is None else answer_labels(answers, kind),
            ),
        )
    )


class TestByScore:
    @pytest.mark.parametrize("name", ["l2_area", "mean_logprob", "deepconf_tail", "coe_r"])
    def test_the_largest(self, name: str) -> None:
        assert pick(name, [1, 3, 2]) == 1

    @pytest.mark.parametrize("name", ["shortest", "perplexity", "mean_entropy", "coe_angle"])
    def test_the_least(self, name: str) -> None:
        assert pick(name, [2, 3, 1]) == 2

    def test_equal_scores_go_by_position(self) -> None:
        assert pick("l2_area", [1, 5, 5, 5]) == 1
        assert pick("shortest", [7, 7]) == 0

    def test_no_score_is_worse_than_any(self) -> None:
        assert pick("l2_area", [NAN, -9, NAN]) == 1
        assert pick("shortest", [NAN, 900, 901]) == 1
        assert pick("l2_area", [NAN, NAN]) == 0

    def test_one_response(self) -> None:
        assert pick("l2_area", [4]) == 0
        assert pick("majority", answers=["7"]) == 0
        assert pick("majority", answers=[None]) == 0

    def test_perplexity_orders_as_mean_log_probability(self) -> None:
        values = np.random.default_rng(0).normal(size=8)
        assert pick("mean_logprob", list(values)) == pick("perplexity", list(np.exp(-values)))


class TestTruncated:
    """Cut off: eligible only where all are."""

    def test_never_before_a_whole_one(self) -> None:
        assert pick("l2_area", [9, 1, 8], [True, False, True]) == 1
        assert pick("l2_area", [9, NAN, 8], [True, False, True]) == 1

    def test_where_all_are_the_score_decides(self) -> None:
        assert pick("l2_area", [2, 1, 8], [True] * 3) == 2

    def test_no_vote(self) -> None:
        cut = [True, True, True, False, False]
        assert pick("majority", answers=["5", "5", "5", "7", "8"], cut=cut) == 3

    def test_no_answer_is_no_vote(self) -> None:
        assert pick("majority", answers=[None, None, None, "4"]) == 3
        cut = [True] * 4
        assert pick("majority", answers=[None, None, "3", None], cut=cut) == 2

    def test_nobody_answers(self) -> None:
        """The best of those that may be chosen."""
        cut = [True, False, False]
        assert pick("l2_vote", [9, 1, 2], cut, [None, None, None]) == 2
        assert pick("majority", answers=[None] * 3, cut=cut) == 1


class TestVotes:
    def test_equivalent_answers_vote_together(self) -> None:
        assert pick("majority", answers=["3", r"\frac{1}{2}", "3", "0.5", "50\\%", "4"]) == 1
        assert pick("majority", answers=["(b)", "A", "B", "a"], kind="letter") == 0

    def test_majority_ties_go_to_the_first_given(self) -> None:
        assert pick("majority", answers=["2", "1", "1", "2"]) == 0

    def test_weights_decide(self) -> None:
        assert pick("l2_vote", [1, 1, 1, 9], None, ["2", "2", "2", "7"]) == 3
        assert pick("l2_vote", [1, 1, 1, 2], None, ["2", "2", "2", "7"]) == 0

    def test_equal_weights_go_to_the_best_response(self) -> None:
        assert pick("l2_vote", [2, 2, 1, 3], None, ["8", "8", "7", "7"]) == 3

    def test_the_best_of_the_winners_is_chosen(self) -> None:
        assert pick("confidence_vote", [1, 5, 2], None, ["8", "7", "8"]) == 1
        assert pick("confidence_vote", [4, 5, 2], None, ["8", "7", "8"]) == 0

    def test_without_any_weight_all_weigh_the_same(self) -> None:
        assert pick("l2_vote", [0, 0, 0], None, ["8", "7", "7"]) == 1
        assert pick("l2_vote", [NAN, NAN, NAN], None, ["8", "7", "7"]) == 1

    def test_identical_answers(self) -> None:
        assert pick("majority", answers=["8"] * 4) == 0
        assert pick("self_certainty_borda", [1, 3, 2], None, ["8"] * 3) == 1

    def test_sums_in_another_order_tie(self) -> None:
        """0.1 + 0.2 is not 0.3 in floating point."""
        assert pick("l2_vote", [0.1, 0.2, 0.15, 0.15], None, ["8", "8", "7", "7"]) == 1

    def test_borda_weights(self) -> None:
        values = np.array([5.0, 9.0, NAN, 7.0, 9.0])
        voters = np.array([True, True, True, False, True])
        weights = borda_weights(values, voters, power=2.0)
        assert weights.tolist() == [4.0, 16.0, 1.0, 0.0, 9.0]

    @settings(max_examples=150, deadline=None)
    @given(data=st.data(), n=st.integers(1, 7))
    def test_against_a_slow_vote(self, slow: Any, data: st.DataObject, n: int) -> None:
        answers = data.draw(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=n, max_size=n))
        weights = data.draw(
            st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.5]), min_size=n, max_size=n)
        )
        values = data.draw(st.lists(st.sampled_from([-2.0, 0.0, 1.0, 3.0]), min_size=n, max_size=n))
        cut = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        seen = list(dict.fromkeys(a for a in answers if a is not None))
        labels = np.array([-1 if a is None else seen.index(a) for a in answers])
        allowed = eligible(cut)
        found = int(vote(labels, np.array(weights), np.array(values), allowed))
        assert found == slow.vote(answers, weights, values, allowed.tolist())

    def test_many_groups_at_once_as_one_by_one(self) -> None:
        rng = np.random.default_rng(1)
        labels = rng.integers(-1, 4, (50, 6))
        weights, values = rng.random((2, 50, 6))
        allowed = eligible(rng.random((50, 6)) < 0.3)
        together = vote(labels, weights, values, allowed)
        alone = [vote(*row) for row in zip(labels, weights, values, allowed, strict=True)]
        assert together.tolist() == [int(one) for one in alone]
        assert best(values, allowed).tolist() == [
            int(best(*row)) for row in zip(values, allowed, strict=True)
        ]


class TestRandom:
    def test_each_eligible_one_has_its_share(self) -> None:
        candidates = Candidates({}, np.array([False, True, False, False]))
        draws = np.linspace(0, 1, 300, endpoint=False)
        found = [int(choose(SELECTORS["random"], candidates, draw)) for draw in draws]
        assert np.bincount(found, minlength=4).tolist() == [100, 0, 100, 100]

    def test_the_draw_belongs_to_the_prompt_and_repeat(self) -> None:
        assert selection_draw(1, "ab", 0) == selection_draw(1, "ab", 0)
        others = [(2, "ab", 0), (1, "ac", 0), (1, "ab", 1)]
        assert all(selection_draw(*other) != selection_draw(1, "ab", 0) for other in others)


class TestNames:
    def test_every_name_of_the_issue(self) -> None:
        names = """l2_sum l2_mean l2_area l2_area_rate l2_peaks l2_peak_rate l2_late_area random
        shortest longest majority l2_vote confidence_vote mean_logprob perplexity mean_entropy
        self_certainty self_certainty_borda deepconf_mean deepconf_lowest deepconf_tail
        coe_magnitude coe_angle coe_r coe_c""".split()
        assert set(names) <= set(SELECTORS)
        assert "oracle" not in SELECTORS
        assert all("\n" not in one.meaning and one.meaning for one in SELECTORS.values())
        assert set(ALIASES.values()) <= set(SELECTORS)

    @pytest.mark.parametrize("selector", SELECTORS.values(), ids=lambda one: one.name)
    def test_what_is_missing_is_said(self, selector: Selector) -> None:
        if selector.kind == "random":
            return
        labels = np.zeros(2, dtype=np.int64) if selector.score else None
        with pytest.raises(MissingScoreError, match=selector.name):
            choose(selector, Candidates({}, np.zeros(2, dtype=bool), labels))
