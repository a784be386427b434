"""The ℓ2 scores: how much of a response's norms there is, and how much beyond the threshold.

Norms are counted in units of their layer's τ, so that layers weigh alike, and a score is the mean
over the monitored layers. With x = n/τ for the T counted rows of a response:

    l2_sum    Σ x               l2_mean       Σ x / T
    l2_area   Σ max(0, x − 1)   l2_area_rate  the same / T
    l2_peaks  #{x > 1}          l2_peak_rate  the same / T
    l2_late_area, l2_late_area_rate: area and its rate over the last 30 % of the rows

and the score of "The Tell-Tale Norm" (arXiv 2606.06188) as a reader of it reports it: the sum of
the norms as they are, over the deepest layers and the last third of the rows. No τ is in it, so
that layers of large norms weigh most.

    l2_paper  Σ n over the monitored layers and the last third of the rows
"""

from __future__ import annotations

import numpy as np

LATE = 0.3

NORM_SCORES = (
    *("l2_sum", "l2_mean", "l2_area", "l2_area_rate"),
    *("l2_peaks", "l2_peak_rate", "l2_late_area", "l2_late_area_rate"),
    "l2_paper",
)


def late_rows(n_rows: int | np.ndarray) -> np.ndarray:
    """How many rows the last 30 % are, rounded up: at least one of any."""
    # 0.3 · 10 is 3.0000000000000004 in floating point
    return np.ceil(np.round(LATE * np.asarray(n_rows), 9)).astype(np.int64)


def norm_scores(norms: np.ndarray, lengths: np.ndarray, tau: np.ndarray) -> dict[str, np.ndarray]:
    """The ℓ2 scores of each of n responses.

    Args:
        norms: (rows, layers) float32, the counted rows of all responses, one after the other.
        lengths: (n,) how many of them each response has, at least one.
        tau: (layers,), each above 0.

    Returns:
        name → (n,) float64. nan where a norm is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        # a layer's rows side by side: means over layers are then sums of whole vectors
        relative = np.ascontiguousarray(norms.T) / tau[:, None]
        excess = np.maximum(relative - 1, 0)
        per_row = np.stack(
            [relative.mean(0), excess.mean(0), (excess > 0).mean(0)],
            axis=1,
        )
        starts = np.cumsum(lengths) - lengths
        sums = np.add.reduceat(per_row, starts, axis=0)
        n_late = late_rows(lengths)
        row = np.arange(len(norms)) - np.repeat(starts, lengths)
        is_late = row >= np.repeat(lengths - n_late, lengths)
        late = np.add.reduceat(np.where(is_late, per_row[:, 1], 0.0), starts)
        total, area, peaks = sums.T
        thirds = -(-lengths // 3)
        in_third = row >= np.repeat(lengths - thirds, lengths)
        own = norms.sum(axis=1, dtype=np.float64)
        paper = np.add.reduceat(np.where(in_third, own, 0.0), starts)
        values = (
            *(total, total / lengths, area, area / lengths),
            *(peaks, peaks / lengths, late, late / n_late),
            paper,
        )
    finite = np.logical_and.reduceat(np.isfinite(relative).all(0), starts)
    return {
        name: np.where(finite, value, np.nan)
        for name, value in zip(NORM_SCORES, values, strict=True)
    }
