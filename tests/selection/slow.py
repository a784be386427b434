"""Every score again, slowly, from its definition, a response and a row at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def quantile(values: list[float], q: float) -> float:
    """Linear interpolation between the closest ranks."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def threshold(norms: list[float]) -> float:
    low, high = quantile(norms, 0.25), quantile(norms, 0.75)
    return high + 1.5 * max(high - low, 1e-3)


def norm_scores(group: list[np.ndarray], counted: list[slice]) -> list[dict[str, float]]:
    """Of each response (T, L) of a group, its rows ``counted``."""
    n_layers = group[0].shape[1]
    tau = [
        threshold([float(row[layer]) for norms in group for row in norms])
        for layer in range(n_layers)
    ]
    found = []
    for norms, span in zip(group, counted, strict=True):
        rows = norms[span]
        n = len(rows)
        n_late = -(-3 * n // 10)  # 30 %, rounded up
        sums = dict.fromkeys(("sum", "area", "peaks", "late"), 0.0)
        for layer in range(n_layers):
            for t, row in enumerate(rows):
                x = float(row[layer]) / tau[layer]
                sums["sum"] += x / n_layers
                sums["area"] += max(0.0, x - 1) / n_layers
                sums["peaks"] += (x > 1) / n_layers
                sums["late"] += (max(0.0, x - 1) if t >= n - n_late else 0.0) / n_layers
        found.append(
            {
                "l2_sum": sums["sum"],
                "l2_mean": sums["sum"] / n,
                "l2_area": sums["area"],
                "l2_area_rate": sums["area"] / n,
                "l2_peaks": sums["peaks"],
                "l2_peak_rate": sums["peaks"] / n,
                "l2_late_area": sums["late"],
                "l2_late_area_rate": sums["late"] / n_late,
                "l2_paper": sum(float(x) for row in rows[n - -(-n // 3) :] for x in row),
            }
        )
    return found


def output_scores(rows: Any, span: slice, window: int) -> dict[str, float]:
    """Of one response's output statistics."""

    def mean(values: Any) -> float:
        return math.fsum(map(float, values)) / len(values)

    confidence = list(rows.confidence[span])
    n = len(confidence)
    groups = [confidence[i : i + window] for i in range(n - window + 1)] or [confidence]
    return {
        "mean_logprob": mean(rows.logprob[span]),
        "perplexity": math.exp(-mean(rows.logprob[span])),
        "mean_entropy": mean(rows.entropy[span]),
        "self_certainty": mean(rows.self_certainty[span]),
        "picsar": math.fsum(map(float, rows.logprob[span])),
        "edis": instability(list(map(float, rows.entropy[span]))),
        "deepconf_mean": mean(confidence),
        "deepconf_lowest": min(map(mean, groups)),
        "deepconf_tail": mean(confidence[-window:]),
    }


def instability(entropy: list[float], w: int = 8, burst: float = 1.36, back: float = 1.33) -> float:
    """EDIS, equations 5 to 8 of arXiv 2602.01288."""
    steps = range(len(entropy))
    bursts = sum(1 for t in steps if t + w < len(entropy) and entropy[t + w] - entropy[t] > burst)
    rebounds = sum(1 for t in steps if t and entropy[t] - min(entropy[:t]) > back)
    mean = math.fsum(entropy) / len(entropy)
    variance = math.fsum((h - mean) ** 2 for h in entropy) / len(entropy)
    return (bursts + rebounds) / 2 * (1 + variance)


def softmax(values: list[float], temperature: float) -> list[float]:
    """As google-research/cisc has it."""
    powers = [math.exp(value / temperature) for value in values]
    return [power / math.fsum(powers) for power in powers]


def weighted_majority(answers: list[Any], weights: list[float]) -> Any:
    """Algorithm 3 of arXiv 2603.03872; of equal answers the one first given."""
    scores: dict[Any, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        scores[answer] = scores.get(answer, 0.0) + weight
    most = max(scores.values())
    return next(answer for answer, score in scores.items() if score >= most - 1e-9)


def hierarchical_vote(answers: list[Any], weights: list[float], intervals: int = 10) -> Any:
    """Algorithm 2 of arXiv 2603.03872."""
    low, high = min(weights), max(weights)
    subs, means = [], []
    for i in range(intervals):
        start, end = (low + k * (high - low) / intervals for k in (i, i + 1))
        inside = [
            k
            for k, weight in enumerate(weights)
            if start + 1e-12 < weight <= end + 1e-12 or (i == 0 and weight <= end + 1e-12)
        ]
        if high == low and i:
            continue
        if inside:
            sub = weighted_majority([answers[k] for k in inside], [weights[k] for k in inside])
            own = [weights[k] for k in inside if answers[k] == sub]
            subs.append(sub)
            means.append(math.fsum(own) / len(own))
    order = sorted(range(len(subs)), key=lambda k: answers.index(subs[k]))
    return weighted_majority([subs[k] for k in order], [means[k] for k in order])


def distribution_vote(answers: list[Any], values: list[float], split: Any) -> Any:
    """Algorithm 1 of arXiv 2603.03872 without its steering; the answer, None where none is given.

    ``split(values)`` tells which values are of the more confident kind.
    """

    def pool(kept: list[int], positive: bool) -> list[int]:
        kinds = split([values[i] for i in kept]) if kept else []
        return [i for i, kind in zip(kept, kinds, strict=True) if kind == positive]

    def voted(of: list[int], sign: float) -> Any:
        return hierarchical_vote([answers[i] for i in of], [sign * values[i] for i in of])

    voters = [i for i, answer in enumerate(answers) if answer is not None]
    if not voters:
        return None
    first = voted(pool(voters, True), 1.0)
    others = pool(voters, False)
    rejected = voted(others, -1.0) if others else first
    if rejected == first:
        return first
    return voted(pool([i for i in voters if answers[i] != rejected], True), 1.0)


def vote(answers: list[Any], weights: list[float], values: list[float], allowed: list[bool]) -> int:
    """The position that a weighted vote chooses."""
    voters = [i for i, a in enumerate(answers) if allowed[i] and a is not None]
    if not voters:
        candidates = [i for i in range(len(answers)) if allowed[i]]
        return max(candidates, key=lambda i: (values[i], -i))
    if not any(weights[i] > 0 for i in voters):
        weights = [1.0] * len(answers)

    def rank(answer: Any) -> tuple[float, float, int]:
        members = [i for i in voters if answers[i] == answer]
        return (
            round(sum(max(weights[i], 0.0) for i in members), 9),
            max(values[i] for i in members),
            -members[0],
        )

    winner = max({answers[i] for i in voters}, key=rank)
    return max((i for i in voters if answers[i] == winner), key=lambda i: (values[i], -i))
