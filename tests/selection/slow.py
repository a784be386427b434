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
        "deepconf_mean": mean(confidence),
        "deepconf_lowest": min(map(mean, groups)),
        "deepconf_tail": mean(confidence[-window:]),
    }


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
