"""Suites of equal methods: how many of them get a verdict all the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from l2_harness.compare.leaderboard import Board, Options, leaderboard
from l2_harness.lm_eval_files.outcomes import Outcome

QUESTIONS = 60
METHODS = {"a": 0.0, "b": 0.0, "c": 0.0, "null": 0.0}
OPTIONS = Options(flips=499)


def verdicts(
    made: Callable[..., list[Outcome]], suites: int, seeds: int, tasks: tuple[str, ...]
) -> tuple[float, float]:
    """Shares of suites with any method said to be better or worse, and any place not shared."""
    rng = np.random.default_rng(0)
    said = told_apart = 0
    for _ in range(suites):
        outcomes = [o for t in tasks for o in made(rng, METHODS, QUESTIONS, seeds, t)]
        board: Board = leaderboard(outcomes, OPTIONS).boards[0]
        assert board.family == 3
        said += any(row.verdict in ("better", "worse") for row in board.rows)
        told_apart += any(row.rank != 1 for row in board.rows)
    return said / suites, told_apart / suites


@pytest.mark.parametrize(
    ("suites", "seeds", "tasks"),
    [(150, 1, ("t",)), (150, 3, ("t",)), (100, 2, ("t", "u"))],
    ids=["single", "seeds", "tasks"],
)
def test_equal_methods_are_told_apart_at_no_more_than_the_nominal_rate(
    made: Callable[..., list[Outcome]], suites: int, seeds: int, tasks: tuple[str, ...]
) -> None:
    said, told_apart = verdicts(made, suites, seeds, tasks)
    most = binom.ppf(0.999, suites, 0.05) / suites
    assert said <= most
    # Places have two families, of plain's pairs and of all others.
    assert told_apart <= binom.ppf(0.999, suites, 0.1) / suites
    # Answers are few, so that the rate is below; of these few suites one at least is expected.
    assert said > 0
