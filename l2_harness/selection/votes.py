"""Votes over equal answers, each response with a weight.

Everything works on arrays (..., n), one prompt's responses along the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2_harness.answers import AnswerKind, group_answers
from l2_harness.selection.ranking import best, ranking

#: The exponent of the Borda vote's ranks that the authors' code takes (arXiv 2502.18581).
BORDA_POWER = 0.5


def answer_labels(answers: Sequence[str | None], kind: AnswerKind = "math") -> np.ndarray:
    """(n,) int64, the same number for equal answers, −1 for a response without one."""
    labels = np.full(len(answers), -1, dtype=np.int64)
    for number, group in enumerate(group_answers(answers, kind)):
        labels[group] = number
    return labels


def borda_weights(values: np.ndarray, voters: np.ndarray, power: float = BORDA_POWER) -> np.ndarray:
    """(..., n) votes (N − r + 1)^p of the r-th best of N voters; 0 for the others.

    Kang et al., arXiv 2502.18581, section 3. Equal values rank by position.
    """
    order = ranking(values, voters)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[-1]), order.shape), -1)
    n_voters = voters.sum(-1, keepdims=True)
    return np.where(voters, np.maximum(n_voters - rank, 0).astype(np.float64) ** power, 0.0)


def vote(
    labels: np.ndarray, weights: np.ndarray, values: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """(...) the position of the response that a weighted vote chooses.

    Responses that are not allowed, or have no answer, have no vote. The answer of the largest
    total weight wins; of equal totals the one with the best single response, then the one that
    was given first. Of the winning answer's responses the best is chosen. Where nobody votes,
    the best of the allowed ones is.

    Args:
        labels: int64, of :func:`answer_labels`.
        weights: a negative one, or nan, counts as 0; where all are 0, each vote weighs 1.
        values: break ties, larger is better, nan worst; equal ones by position.
        allowed: of :func:`~l2_harness.selection.ranking.eligible`.
    """
    voters = allowed & (labels >= 0)
    weighed = np.where(voters, np.maximum(np.nan_to_num(weights, posinf=0.0), 0.0), 0.0)
    weighed = np.where(weighed.sum(-1, keepdims=True) > 0, weighed, voters)
    winner = _winner(np.where(voters, labels, -1), weighed, _place(values, voters))
    wins = voters & (labels == winner[..., None])
    return best(values, np.where(voters.any(-1, keepdims=True), wins, allowed))


def _place(values: np.ndarray, voters: np.ndarray) -> np.ndarray:
    """(..., n) each response's place among the voters, 0 the best; equal values share one."""
    filled = np.where(np.isnan(values), -np.inf, values)
    ahead = (filled[..., None, :] > filled[..., :, None]) & voters[..., None, :]
    return np.asarray(ahead.sum(-1))


def _winner(labels: np.ndarray, weights: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(...) the label that wins; −1 where there is none."""
    n = labels.shape[-1]
    member = labels[..., None] == np.arange(n)
    totals = (weights[..., None] * member).sum(-2)
    # the same weights added in another order may differ in the last digits
    totals = np.round(totals / np.maximum(weights.sum(-1, keepdims=True), 1e-300), 12)
    best_place = np.where(member, place[..., None], n).min(-2)
    first = np.where(member, np.arange(n)[:, None], n).min(-2)
    given = member.any(-2)
    order = np.lexsort((first, best_place, -totals, ~given), axis=-1)
    return np.where(given.any(-1), order[..., 0], -1)
