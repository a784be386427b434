"""Thresholds in scope ``group``: from all rows of the n responses to one prompt."""

from __future__ import annotations

import numpy as np

K = 1.5
IQR_FLOOR = 1e-3


def group_thresholds(norms: np.ndarray, k: float = K, floor: float = IQR_FLOOR) -> np.ndarray:
    """τ = Q3 + k·max(Q3 − Q1, floor) of each layer, with linearly interpolated quartiles.

    Args:
        norms: (rows, layers), the rows of all responses. Those that are not finite are left out.
        k: how far beyond the third quartile.
        floor: the least interquartile range.

    Returns:
        (layers,) float64; nan for a layer without a finite norm.
    """
    by_layer = np.ascontiguousarray(norms.T)
    if not by_layer.size:
        return np.full(len(by_layer), np.nan)
    if np.isfinite(by_layer).all():
        low, high = _quartiles(by_layer)
    else:
        of_layers = [_quartiles(layer[np.isfinite(layer)][None]) for layer in by_layer]
        low, high = np.concatenate(of_layers, axis=1)
    return np.asarray(high + k * np.maximum(high - low, floor))


def _quartiles(values: np.ndarray) -> np.ndarray:
    """(2, layers) float64 of values (layers, rows), interpolated as numpy's ``linear``.

    Sorted in their own type, which takes half the time of numpy's float64 quantiles.
    """
    n = values.shape[1]
    if n == 0:
        return np.full((2, len(values)), np.nan)
    places = np.array([0.25, 0.75]) * (n - 1)
    below = places.astype(np.int64)
    above = np.minimum(below + 1, n - 1)
    ordered = np.partition(values, np.unique([below, above]), axis=1).astype(np.float64)
    return np.asarray(
        (ordered[:, below] + (places - below) * (ordered[:, above] - ordered[:, below])).T
    )
