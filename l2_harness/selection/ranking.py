"""Which of n responses is best by a score, and which may be chosen at all.

Everything works on arrays (..., n), one prompt's responses along the last axis.
"""

from __future__ import annotations

import numpy as np


def eligible(truncated: np.ndarray) -> np.ndarray:
    """(..., n) whether a response may be chosen: a truncated one only where all are."""
    return np.asarray(~truncated | truncated.all(-1, keepdims=True))


def ranking(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(..., n) positions, the best first: those allowed, by value, then by position.

    Args:
        values: larger is better; nan is worse than any number.
        allowed: what comes first, whatever its value.
    """
    position = np.broadcast_to(np.arange(values.shape[-1]), values.shape)
    no_value = np.isnan(values)
    falling = np.where(no_value, 0.0, -values)
    return np.lexsort((position, falling, no_value, ~allowed), axis=-1)


def best(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(...) the position of the best response, by :func:`ranking`."""
    return np.asarray(ranking(values, allowed)[..., 0])
