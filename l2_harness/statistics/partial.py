"""Correlations from sums of products, for many resamples and variables at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l2_harness.statistics.estimate import Floats

#: Below this share of a variable's variance, what is left of it is rounding error.
_NOTHING_LEFT = 1e-10
#: Condition up to which a matrix has a plain inverse, in a tenth of the time.
_WELL_CONDITIONED = 1e6


def correlation(product: Floats, first: Floats, second: Floats) -> Floats:
    """(B, C) correlation, nan where a variable does not vary."""
    scale = np.where((first > 0) & (second > 0), first * second, np.nan)
    return np.asarray(np.clip(product / np.sqrt(scale), -1, 1))


def pseudo_inverse(matrices: Floats) -> Floats:
    """(B, k, k) of symmetric matrices; below 1e-9 of one's largest eigenvalue is nothing."""
    inverse = np.zeros_like(matrices)
    regular = np.linalg.det(matrices) != 0  # else inv refuses them all
    inverse[regular] = np.linalg.inv(matrices[regular])
    size, inverse_size = (np.sqrt((of**2).sum(axis=(1, 2))) for of in (matrices, inverse))
    rest = ~(regular & (size * inverse_size < _WELL_CONDITIONED))
    if rest.any():
        inverse[rest] = np.linalg.pinv(matrices[rest], rcond=1e-9, hermitian=True)
    return inverse


@dataclass(frozen=True, eq=False)
class Controlled:
    """An outcome with covariates, in B resamples, which any number of variables goes with.

    Attributes:
        yy: (B,) the outcome's product with itself.
        scales: (B, k) what makes the covariates' products correlations.
        inverse: (B, k, k) of these.
        of_y: (B, k) the outcome's products with the covariates, scaled.
    """

    yy: Floats
    scales: Floats
    inverse: Floats
    of_y: Floats

    @classmethod
    def of(cls, vv: Floats) -> Controlled:
        """From the products (B, 1 + k, 1 + k) of the outcome and k covariates, in that order."""
        # Scaled to correlations first: the pseudo-inverse, for covariates that are collinear within
        # strata, then has one measure of what is nothing.
        scale = np.sqrt(np.maximum(np.diagonal(vv, axis1=1, axis2=2)[:, 1:], 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            shrunk = np.where(scale > 0, 1 / scale, 0.0)
        covariance = vv[:, 1:, 1:] * shrunk[:, :, None] * shrunk[:, None, :]
        return cls(vv[:, 0, 0], shrunk, pseudo_inverse(covariance), vv[:, 0, 1:] * shrunk)

    def correlation(self, xx: Floats, xv: Floats) -> Floats:
        """(B, C) correlation of x with the outcome, given the covariates.

        Args:
            xx: (B, C) products of each x with itself.
            xv: (B, C, 1 + k) with the outcome and the covariates.
        """
        xy = xv[:, :, 0]
        if not self.scales.size:
            return correlation(xy, xx, self.yy[:, None])
        of_x = xv[:, :, 1:] * self.scales[:, None, :]
        solved = of_x @ self.inverse
        left_xy = xy - np.einsum("bck,bk->bc", solved, self.of_y)
        left_xx = xx - np.einsum("bck,bck->bc", solved, of_x)
        left_yy = self.yy - np.einsum("bk,bkl,bl->b", self.of_y, self.inverse, self.of_y)
        defined = (left_xx > _NOTHING_LEFT * xx) & (left_yy > _NOTHING_LEFT * self.yy)[:, None]
        return np.where(defined, correlation(left_xy, left_xx, left_yy[:, None]), np.nan)
