"""EDIS: how unstable the entropy of a response's next-token distributions is.

Zhu et al., arXiv 2602.01288, equations 5 to 8, with the thresholds of its appendix E. The length of
its window is not in the text that could be had; 8 is what reimplementations take.
"""

from __future__ import annotations

import numpy as np

WINDOW = 8
BURST = 1.36
REBOUND = 1.33


def instability(
    entropy: np.ndarray, window: int = WINDOW, burst: float = BURST, rebound: float = REBOUND
) -> float:
    """½ (bursts + rebounds) · (1 + variance); the lower, the steadier. Grows with length.

    Args:
        entropy: (T,) in nats.
        window: w of a burst, a row t with H(t + w) − H(t) above ``burst``.
        burst: in nats.
        rebound: in nats; a row is a rebound where its entropy is so far above the least before it.

    Returns:
        nan where an entropy is not finite.
    """
    values = np.asarray(entropy, dtype=np.float64)
    if not np.isfinite(values).all():
        return float("nan")
    bursts = int((values[window:] - values[:-window] > burst).sum())
    rebounds = int((values[1:] - np.minimum.accumulate(values)[:-1] > rebound).sum())
    return float((bursts + rebounds) / 2 * (1 + values.var()))
