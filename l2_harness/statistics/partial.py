"""Correlations from sums of products, for many resamples and variables at once."""

from __future__ import annotations

import numpy as np

from l2_harness.statistics.estimate import Floats

#: Below this share of a variable's variance, what is left of it is rounding error.
_NOTHING_LEFT = 1e-10


def correlation(product: Floats, first: Floats, second: Floats) -> Floats:
    """(B, C) correlation, nan where a variable does not vary."""
    scale = np.where((first > 0) & (second > 0), first * second, np.nan)
    return np.asarray(np.clip(product / np.sqrt(scale), -1, 1))


def partial_correlation(xx: Floats, xv: Floats, vv: Floats) -> Floats:
    """(B, C) correlation of x with the first of v, given the others, from their products.

    Args:
        xx: (B, C).
        xv: (B, C, 1 + k).
        vv: (B, 1 + k, 1 + k).
    """
    xy, yy = xv[:, :, 0], vv[:, 0, 0]
    if xv.shape[2] == 1:
        return correlation(xy, xx, yy[:, None])
    # Scaled to correlations first: the pseudo-inverse, for covariates that are collinear within
    # strata, then has one measure of what is nothing.
    scale = np.sqrt(np.maximum(np.diagonal(vv, axis1=1, axis2=2)[:, 1:], 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        shrunk = np.where(scale > 0, 1 / scale, 0.0)
    covariance = vv[:, 1:, 1:] * shrunk[:, :, None] * shrunk[:, None, :]
    inverse = np.linalg.pinv(covariance, rcond=1e-9, hermitian=True)
    of_x = xv[:, :, 1:] * shrunk[:, None, :]
    of_y = vv[:, 0, 1:] * shrunk
    solved = of_x @ inverse
    left_xy = xy - np.einsum("bck,bk->bc", solved, of_y)
    left_xx = xx - np.einsum("bck,bck->bc", solved, of_x)
    left_yy = yy - np.einsum("bk,bkl,bl->b", of_y, inverse, of_y)
    defined = (left_xx > _NOTHING_LEFT * xx) & (left_yy > _NOTHING_LEFT * yy)[:, None]
    return np.where(defined, correlation(left_xy, left_xx, left_yy[:, None]), np.nan)
