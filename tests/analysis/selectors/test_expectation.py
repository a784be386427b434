"""Curves: closed forms against all subsets, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from l2_harness.analysis.selectors.expectation import expected_values, sizes, subset_positions
from l2_harness.analysis.selectors.samples import SampleTable
from l2_harness.answers import pass_at_k
from l2_harness.config.selectors import ORACLE, SELECTORS
from l2_harness.selection.choice import choose
from l2_harness.selection.ranking import eligible

Make = Callable[..., SampleTable]


def by_enumeration(name: str, table: SampleTable, k: int) -> np.ndarray:
    """The mean over all subsets of what is chosen of each."""
    values = []
    for positions in combinations(range(table.n), k):
        subset = table.candidates.subset(np.array(positions))
        correct = table.correct[:, positions]
        if name == "random":
            allowed = eligible(subset.truncated)
            values.append((correct * allowed).sum(1) / allowed.sum(1))
        elif name == "oracle":
            values.append(correct.max(1))
        else:
            chosen = choose(SELECTORS[name], subset)
            values.append(np.take_along_axis(correct, chosen[:, None], 1)[:, 0])
    return np.mean(values, axis=0)


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("name", [*SELECTORS, "oracle"])
def test_all_subsets(name: str, k: int, make_table: Make) -> None:
    table = make_table(seed=k)
    selector = ORACLE if name == "oracle" else SELECTORS[name]
    found = expected_values(selector, table, k)
    assert found == pytest.approx(by_enumeration(name, table, k))


@pytest.mark.parametrize("together", [1, 400])
def test_some_subsets_at_a_time_give_the_same(
    together: int, make_table: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table(seed=1)
    monkeypatch.setattr("l2_harness.analysis.selectors.expectation._AT_ONCE", together)
    for name in ("majority", "distri_vote"):
        found = expected_values(SELECTORS[name], table, 3)
        assert found == pytest.approx(by_enumeration(name, table, 3))


def test_the_oracle_is_pass_at_k(make_table: Make) -> None:
    table = make_table(n=8)
    for k in sizes(8):
        expected = [pass_at_k(8, int(right), k) for right in table.correct.sum(1)]
        assert expected_values(ORACLE, table, k) == pytest.approx(expected)


def test_one_sample_leaves_no_choice(make_table: Make) -> None:
    table = make_table()
    for selector in (*SELECTORS.values(), ORACLE):
        assert expected_values(selector, table, 1) == pytest.approx(table.correct.mean(1))


def test_drawn_subsets_come_close_and_back(make_table: Make) -> None:
    table = make_table(questions=200, n=12)
    exact = expected_values(SELECTORS["majority"], table, 5, subsets=1000)
    drawn = expected_values(SELECTORS["majority"], table, 5, subsets=150)
    again = expected_values(SELECTORS["majority"], table, 5, subsets=150)
    assert (drawn == again).all()
    assert drawn.mean() == pytest.approx(exact.mean(), abs=0.02)


def test_subsets() -> None:
    assert len(subset_positions(6, 3, 20, 0)) == 20
    drawn = subset_positions(30, 10, 50, 0)
    assert drawn.shape == (50, 10)
    assert (np.diff(drawn, axis=1) > 0).all()
    assert sizes(16) == [1, 2, 4, 8, 16]
    assert sizes(12) == [1, 2, 4, 8, 12]
    assert sizes(1) == [1]
