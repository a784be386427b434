"""DistriVoting: by hand, against a slow version and scikit-learn's mixture, and at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from l2_harness.selection.distribution_vote import (
    distribution_vote,
    hierarchical_vote,
    more_confident,
)

NAN = float("nan")


def voted(labels: list[int], values: list[float], cut: list[bool] | None = None) -> int:
    allowed = ~np.array([cut or [False] * len(labels)])
    return int(distribution_vote(np.array([labels]), np.array([values]), allowed)[0])


class TestMixture:
    def test_two_heaps(self) -> None:
        values = np.array([[1.0, 1.1, 0.9, 5.0, 5.2, 4.9, 5.1]])
        found = more_confident(values, np.ones_like(values, dtype=bool))
        assert found.tolist() == [[False] * 3 + [True] * 4]

    @pytest.mark.parametrize("seed", range(6))
    def test_against_scikit_learn(self, seed: int) -> None:
        """From the same start; its variances have an absolute floor of 1e-6."""
        rng = np.random.default_rng(seed)
        values = np.concatenate([rng.normal(10, 1, 40), rng.normal(14, 1.5, 60)])
        ordered = np.sort(values)
        halves = ordered[:50], ordered[50:]
        mixture = GaussianMixture(
            2,
            tol=1e-7,
            max_iter=1000,
            weights_init=[0.5, 0.5],
            means_init=[[half.mean()] for half in halves],
            precisions_init=[[[1 / half.var()]] for half in halves],
        ).fit(values[:, None])
        own = mixture.predict_proba(values[:, None])[:, int(np.argmax(mixture.means_))]
        found = more_confident(values[None], np.ones((1, 100), dtype=bool), 1e-7)[0]
        sure = np.abs(own - 0.5) > 0.02
        assert (found == (own >= 0.5))[sure].all()

    def test_a_prompt_does_not_see_the_others(self) -> None:
        rng = np.random.default_rng(0)
        values, of = rng.normal(10, 2, (20, 16)), rng.random((20, 16)) < 0.8
        together = more_confident(values, of)
        alone = [more_confident(values[i : i + 1], of[i : i + 1])[0] for i in range(20)]
        assert (together == np.array(alone)).all()

    def test_what_does_not_differ(self) -> None:
        of = np.array([[True] * 4, [True, False, False, False], [False] * 4])
        assert (more_confident(np.full((3, 4), 7.0), of) == of).all()


class TestVote:
    def test_the_confident_ones_decide(self) -> None:
        """Four unsure ones for 1, three sure ones for 0, of which the surest is chosen."""
        assert voted([1, 1, 1, 1, 0, 0, 0], [1.0, 1.1, 0.9, 1.0, 5.0, 5.3, 5.1]) == 5

    def test_intervals_vote_with_their_means(self) -> None:
        """Eleven for 0 in the lowest interval are one ballot of weight 1, and 2 has one of 2."""
        labels = np.array([[0] * 11 + [2]])
        weights = np.array([[1.0] * 11 + [2.0]])
        assert hierarchical_vote(labels, weights, np.ones_like(labels, dtype=bool)) == [2]

    def test_cut_off_and_unanswered_have_no_vote(self) -> None:
        assert voted([1, 1, 0], [9.0, 8.0, 7.0], [True, True, False]) == 2
        assert voted([-1, -1, 0], [9.0, NAN, 7.0]) == 2

    def test_nobody_votes(self) -> None:
        """The best of those that may be chosen."""
        assert voted([-1, -1, -1], [3.0, 5.0, 4.0]) == 1
        assert voted([0, 1], [NAN, NAN]) == 0

    @settings(max_examples=200, deadline=None)
    @given(seed=st.integers(0, 2**32), n=st.integers(1, 20))
    def test_against_a_slow_vote(self, slow: Any, seed: int, n: int) -> None:
        rng = np.random.default_rng(seed)
        labels = rng.integers(-1, 4, n)
        values = np.round(rng.normal(12, 3, n), 3)

        def split(of: list[float]) -> list[bool]:
            return list(more_confident(np.array([of]), np.ones((1, len(of)), dtype=bool))[0])

        given_ = [None if label < 0 else int(label) for label in labels]
        expected = slow.distribution_vote(given_, list(values), split)
        place = voted(list(labels), list(values))
        if expected is None:
            assert place == int(values.argmax())
        else:
            assert labels[place] == expected
