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
    by_layer = np.ascontiguousarray(norms.T, dtype=np.float64)
    if not by_layer.size:
        return np.full(len(by_layer), np.nan)
    if np.isfinite(by_layer).all():
        quartiles = np.quantile(by_layer, [0.25, 0.75], axis=1, overwrite_input=True)
    else:
        quartiles = np.transpose([_finite_quartiles(layer) for layer in by_layer])
    low, high = quartiles
    return np.asarray(high + k * np.maximum(high - low, floor))


def _finite_quartiles(norms: np.ndarray) -> np.ndarray:
    finite = norms[np.isfinite(norms)]
    return np.quantile(finite, [0.25, 0.75]) if finite.size else np.full(2, np.nan)
