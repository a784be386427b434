"""DistriVoting: a vote among the responses of the more confident of two kinds.

Yang et al., arXiv 2603.03872, section 3.3 and algorithms 1 to 3. The confidences of the responses
to one prompt are taken for a mixture of two normal distributions; those of the higher one vote.
The answer that the others would vote for with their confidences' negatives is rejected, unless it
is also the first choice, and the mixture fitted anew to what is left.

Here a confidence is DeepConf's of the last tokens, where the paper takes the last step of a
trajectory; the mixture starts from the lower and the upper half, which the paper leaves open; and
trajectories are not steered while they are written (its SelfStepConf).

Everything works on arrays (P, n), a prompt a row.
"""

from __future__ import annotations

import numpy as np

from l2_harness.selection.ranking import best

#: Confidences are voted on in so many intervals first.
INTERVALS = 10
#: As scikit-learn's mixtures stop by default: of the mean log-likelihood, and steps.
TOLERANCE = 1e-3
_STEPS = 100
#: The least variance of a component, over that of all.
_FLOOR = 1e-6


def distribution_vote(labels: np.ndarray, values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(P,) the position that is chosen: the most confident voter for the answer that wins.

    Args:
        labels: int64, equal for equal answers, −1 for none.
        values: confidences; nan has no vote.
        allowed: which responses may be chosen; where none of them votes, the best of them is.
    """
    voters = allowed & (labels >= 0) & np.isfinite(values)
    positive = voters & more_confident(values, voters)
    first = hierarchical_vote(labels, values, positive)
    rejected = hierarchical_vote(labels, -values, voters & ~positive)
    rejects = (rejected >= 0) & (rejected != first)
    rest = voters & ~(rejects[:, None] & (labels == rejected[:, None]))
    again = rest & more_confident(values, rest)
    final = np.where(rejects, hierarchical_vote(labels, values, again), first)
    wins = np.where(rejects[:, None], again, positive) & (labels == final[:, None])
    return best(values, np.where(voters.any(-1, keepdims=True), wins, allowed))


def hierarchical_vote(labels: np.ndarray, weights: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """(P,) the label that wins, −1 of an empty pool: equations 20 to 23.

    Within each of ten equal intervals of the weights the answer of the largest total wins; these
    vote with the mean weight that they had there. Of equal ones the first given wins.
    """
    interval = _intervals(weights, pool)
    inside = (interval[:, None, :] == np.arange(INTERVALS)[None, :, None]) & pool[:, None, :]
    # an answer is known by the positions that give it
    same = (labels[:, :, None] == labels[:, None, :]).astype(np.float64)
    totals = np.where(inside, weights[:, None, :], 0.0) @ same
    counts = inside.astype(np.float64) @ same
    winner = _first_largest(np.where(inside, totals, -np.inf))
    of_winner = np.take_along_axis(totals, winner[..., None], -1)[..., 0]
    size = np.take_along_axis(counts, winner[..., None], -1)[..., 0]
    held = inside.any(-1)
    mean = np.where(held, of_winner / np.maximum(size, 1), 0.0)
    ballots = np.where(held, np.take_along_axis(labels, winner, -1), -1)
    agrees = (ballots[:, :, None] == labels[:, None, :]) & held[:, :, None]
    scores = np.where(pool & agrees.any(1), (mean[:, :, None] * agrees).sum(1), -np.inf)
    chosen = np.take_along_axis(labels, _first_largest(scores)[:, None], -1)[:, 0]
    return np.where(pool.any(-1), chosen, -1)


def more_confident(values: np.ndarray, of: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """(P, n) whether a value is likelier of the component with the higher mean.

    Expectation and maximisation from the lower and the upper half. All are where fewer than two
    values differ.

    Args:
        values: confidences.
        of: which of them count; False for the others.
        tolerance: a prompt's fit ends where its mean log-likelihood changes by no more.
    """
    x = np.where(of, values, 0.0)
    size = np.maximum(of.sum(-1, keepdims=True), 1)
    middle = x.sum(-1, keepdims=True) / size
    spread = (np.where(of, x - middle, 0.0) ** 2).sum(-1, keepdims=True) / size
    order = np.argsort(np.argsort(np.where(of, values, np.inf), -1, kind="stable"), -1)
    upper = np.where(of & (order >= size // 2), 1.0, 0.0)
    before, left = np.full(len(x), -np.inf), np.arange(len(x))
    for _ in range(_STEPS):
        own = of[left]
        log_likelihoods = _components(x[left], own, upper[left], spread[left])
        whole = np.logaddexp(*log_likelihoods)
        fit = np.where(own, whole, 0.0).sum(-1) / size[left, 0]
        upper[left] = np.where(own, np.exp(log_likelihoods[1] - whole), 0.0)
        moved = np.abs(fit - before[left]) > tolerance
        before[left] = fit
        left = left[moved]
        if not len(left):
            break
    means = [_mean(x, of * share)[:, None] for share in (1 - upper, upper)]
    higher = np.where(means[1] >= means[0], upper, 1 - upper)
    return np.asarray(of & ((higher >= 0.5) | ~(spread > 0)))


def _components(
    x: np.ndarray, of: np.ndarray, upper: np.ndarray, spread: np.ndarray
) -> list[np.ndarray]:
    """(P, n) log of weight times density of the lower and the upper component, as assigned."""
    found = []
    for share in (of * (1 - upper), of * upper):
        total = np.maximum(share.sum(-1, keepdims=True), 1e-300)
        mean = _mean(x, share)[:, None]
        variance = (share * (x - mean) ** 2).sum(-1, keepdims=True) / total
        variance = np.maximum(variance, np.where(spread > 0, _FLOOR * spread, 1.0))
        weight = total / np.maximum(of.sum(-1, keepdims=True), 1)
        found.append(np.log(weight) - ((x - mean) ** 2 / variance + np.log(variance)) / 2)
    return found


def _mean(x: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.asarray((share * x).sum(-1) / np.maximum(share.sum(-1), 1e-300))


def _intervals(weights: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """(P, n) which interval each weight of the pool lies in; an upper end belongs to its own."""
    low = np.where(pool, weights, np.inf).min(-1, keepdims=True)
    high = np.where(pool, weights, -np.inf).max(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.round((weights - low) / (high - low) * INTERVALS, 9)
    place = np.where(pool & np.isfinite(place), place, 0.0)
    return np.clip(np.ceil(place).astype(np.int64) - 1, 0, INTERVALS - 1)


def _first_largest(values: np.ndarray) -> np.ndarray:
    """(...) the first of the largest; sums in another order may differ in the last digits."""
    scale = np.where(np.isfinite(values), np.abs(values), 0.0).max(-1, keepdims=True)
    return np.asarray(np.round(values / np.maximum(scale, 1e-300), 12).argmax(-1))
