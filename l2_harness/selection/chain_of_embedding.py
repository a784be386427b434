"""Chain-of-Embedding: how a response's mean hidden state moves from layer to layer.

Wang et al., arXiv 2410.13640, section 2. Its chain runs over all layers, the embedding first;
here it runs over the monitored layers, so ``layers=all`` comes closest to it (the first layer's
output stands in for the embedding).
"""

from __future__ import annotations

import math

import numpy as np

COE_SCORES = ("coe_magnitude", "coe_angle", "coe_r", "coe_c")
MIN_LAYERS = 3


def chain_of_embedding(states: np.ndarray) -> dict[str, float]:
    """The scores of one response.

    With M and A the magnitude and angle of each change between neighbouring layers, divided by
    those of the change from the first layer to the last: the mean of M, the mean of A, their
    difference (CoE-R), and the length of the mean of M·exp(iA) (CoE-C).

    Args:
        states: (layers, d), the mean over the response's rows of each layer's output.

    Returns:
        All nan with fewer than three layers (of two, the only change is the whole one), a state
        that is not finite, or a chain that ends
        where it began, whose changes have no scale.
    """
    states = np.asarray(states, dtype=np.float64)
    nothing = dict.fromkeys(COE_SCORES, math.nan)
    if len(states) < MIN_LAYERS or not np.isfinite(states).all():
        return nothing
    whole = np.linalg.norm(states[-1] - states[0])
    turned = _angle(states[:1], states[-1:])[0]
    if not whole > 0 or not turned > 0:
        return nothing
    magnitude = np.linalg.norm(np.diff(states, axis=0), axis=1) / whole
    angle = _angle(states[:-1], states[1:]) / turned
    values = (
        magnitude.mean(),
        angle.mean(),
        magnitude.mean() - angle.mean(),
        abs((magnitude * np.exp(1j * angle)).mean()),
    )
    return {name: float(value) for name, value in zip(COE_SCORES, values, strict=True)}


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) the angles between the rows of a and b, (n, d) each; nan where one is zero."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arccos(np.clip((a * b).sum(1) / lengths, -1, 1))
