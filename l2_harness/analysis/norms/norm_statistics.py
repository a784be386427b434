"""What the norms of a response come to at one layer: one number a statistic.

With n the norms of the T rows of a response at one layer, τ the layer's threshold over all rows of
the response's group (the samples of one request), and x = n/τ:

    mean       Σ n / T
    max        max n
    area       Σ max(0, x − 1)
    area_rate  the same / T
    peaks      #{x > 1}
    peak_rate  the same / T
    slope      of the least-squares line of n over the row number, in norm a row
    late_mean  the mean of n over the last 30 % of the rows

Area, peaks and what is late are those that selection scores responses by, before the mean over
layers. Raw norms are not to be compared between layers, only between responses at one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.trace_rows import RowBlock
from l2_harness.selection.norm_scores import late_rows

if TYPE_CHECKING:
    import pandas as pd

STATISTICS = (
    *("mean", "max", "area", "area_rate", "peaks", "peak_rate"),
    *("slope", "late_mean"),
)


@dataclass(frozen=True, eq=False)
class NormStatistics:
    """Every statistic of every response at every layer.

    Attributes:
        variant: ``all_rows``; ``without_first``, without the first rows; ``without_outliers``,
            without the largest dimensions of the states.
        layers: (L,) the layers.
        values: (n, L, statistics) float64, in the order of :data:`STATISTICS`; nan where it is
            not defined.
    """

    variant: str
    layers: tuple[int, ...]
    values: np.ndarray

    def of(self, statistic: str) -> np.ndarray:
        """(n, L) of one statistic."""
        return np.asarray(self.values[:, :, STATISTICS.index(statistic)])

    def wide(self, responses: pd.DataFrame, part: slice = slice(None)) -> pd.DataFrame:
        """A row a response and layer, a column a statistic; of a part of the responses."""
        import pandas as pd

        values = self.values[part]
        n, n_layers, _ = values.shape
        own = responses.iloc[part]
        repeated = own.loc[own.index.repeat(n_layers)].reset_index(drop=True)
        repeated["variant"] = self.variant
        repeated["layer"] = np.tile(np.asarray(self.layers), n)
        flat = pd.DataFrame(values.reshape(n * n_layers, -1), columns=list(STATISTICS))
        return pd.concat([repeated, flat], axis=1)


def layer_statistics(block: RowBlock, tau: np.ndarray | None = None) -> np.ndarray:
    """The statistics of each response of a block.

    Args:
        block: the rows.
        tau: (n, layers) thresholds; those of the block's groups by default.

    Returns:
        (n, layers, statistics) float64; nan for a response without rows, for a slope of fewer
        than two, and at a layer where a norm is not finite.
    """
    result = np.full((len(block.lengths), block.norms.shape[1], len(STATISTICS)), np.nan)
    filled = np.flatnonzero(block.lengths)
    if not len(filled):
        return result
    thresholds = (block.thresholds() if tau is None else tau)[filled]
    result[filled] = _statistics(block.norms, block.lengths[filled], thresholds)
    return result


def _statistics(norms: np.ndarray, lengths: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """(n, layers, statistics) of responses that all have rows."""
    values = norms.astype(np.float64)
    starts = np.cumsum(lengths) - lengths
    length = lengths[:, None].astype(np.float64)
    row = np.arange(len(values)) - np.repeat(starts, lengths)
    total = np.add.reduceat(values, starts)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        excess = np.maximum(values / np.repeat(tau, lengths, axis=0) - 1, 0)
        area = np.add.reduceat(excess, starts)
        peaks = np.add.reduceat((excess > 0).astype(np.float64), starts)
        centred = row - np.repeat((lengths - 1) / 2, lengths)
        spread = length * (length**2 - 1) / 12  # Σ (t − mean t)² over T rows
        slope = np.add.reduceat(values * centred[:, None], starts) / spread
        n_late = late_rows(lengths)
        is_late = row >= np.repeat(lengths - n_late, lengths)
        late = np.add.reduceat(np.where(is_late[:, None], values, 0.0), starts)
        found = np.stack(
            [
                *(total / length, np.maximum.reduceat(values, starts)),
                *(area, area / length, peaks, peaks / length),
                *(np.where(length > 1, slope, np.nan), late / n_late[:, None]),
            ],
            axis=-1,
        )
    return np.where(np.isfinite(total)[:, :, None], found, np.nan)
