"""What a selector is worth at k of N samples: its expectation over all subsets of size k.

Exact for best-of-k by a score, for a random choice and for the oracle, which have closed forms.
A vote has none: its expectation is over all subsets where these are few, else over some drawn
with a seed, the same for every vote.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from l2_harness.analysis.selectors.samples import SampleTable
from l2_harness.config.selectors import Selector
from l2_harness.selection.choice import choose
from l2_harness.selection.ranking import ranking

SUBSETS = 200
#: Pairs of responses of the subsets that are voted on together.
_AT_ONCE = 1 << 17


def expected_values(
    selector: Selector, table: SampleTable, k: int, *, subsets: int = SUBSETS, seed: int = 0
) -> np.ndarray:
    """(Q,) the expected correctness of what a selector chooses of k of each question's N.

    Scores are those of the N samples: τ is not taken again from each subset.

    Args:
        selector: any, the oracle too.
        table: the samples.
        k: from 1 to N.
        subsets: how many at most, for votes.
        seed: draws them.

    Raises:
        MissingScoreError: the selector needs what was not recorded.
    """
    if selector.kind == "random":
        return _random(table, k)
    if selector.kind == "oracle":
        return _best_of(table.correct, np.ones_like(table.candidates.truncated), table.correct, k)
    if selector.kind == "score":
        values = table.candidates.score(selector)
        return _best_of(values, ~table.candidates.truncated, table.correct, k)
    candidates, questions = table.candidates.only(selector), len(table.correct)
    drawn = subset_positions(table.n, k, subsets, seed)
    total = np.zeros(questions)
    step = max(_AT_ONCE // max(questions * k**2, 1), 1)
    for start in range(0, len(drawn), step):
        positions = drawn[start : start + step]
        chosen = choose(selector, candidates.subset(positions))
        places = positions[np.arange(len(positions)), chosen]
        total += np.take_along_axis(table.correct, places, 1).sum(axis=1)
    return total / len(drawn)


def sizes(n: int) -> list[int]:
    """1, 2, 4, … below n, and n."""
    return [*(2**e for e in range(n.bit_length()) if 2**e < n), n]


def subset_positions(n: int, k: int, most: int, seed: int) -> np.ndarray:
    """(subsets, k) ascending positions: all subsets, or ``most`` of them drawn at random."""
    if comb(n, k) <= most:
        return np.array(list(combinations(range(n), k)))
    rng = np.random.default_rng([seed, n, k])
    return np.sort(np.argsort(rng.random((most, n)), axis=1)[:, :k], axis=1)


def _best_of(values: np.ndarray, allowed: np.ndarray, correct: np.ndarray, k: int) -> np.ndarray:
    """The best response of N is the best of a subset if the subset holds it and no better one.

    Of the C(N, k) subsets, C(N − 1 − r, k − 1) hold that of rank r, from 0, and none above it.
    """
    n = values.shape[1]
    chance = np.array([comb(n - 1 - rank, k - 1) / comb(n, k) for rank in range(n)])
    return np.asarray(np.take_along_axis(correct, ranking(values, allowed), 1) @ chance)


def _random(table: SampleTable, k: int) -> np.ndarray:
    """A subset with any response that was not cut off chooses among those, else among all."""
    whole = ~table.candidates.truncated
    n_whole = whole.sum(1)
    none_whole = np.array([comb(table.n - w, k) / comb(table.n, k) for w in n_whole.tolist()])

    def mean(of: np.ndarray) -> np.ndarray:
        return np.asarray((table.correct * of).sum(1) / np.maximum(of.sum(1), 1))

    return np.asarray((1 - none_whole) * mean(whole) + none_whole * mean(~whole))
