"""How much a technique changes the states that it edits, where those are no sinks; and recursion
beyond the range that a layer's norms have of their own.

A dose is the mean ‖Δ‖/‖h‖ over edited states. A sink, such as a text's first position, has a norm
far above all others (massive activations, arXiv 2402.17762): what is added to it hardly shows, and
what is taken from it would outweigh everything else.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from l2_harness.config.recursion import BEYOND, GROWTH
from l2_harness.config.techniques import dose_counters
from l2_harness.interventions.row_counts import RowCounts

#: A row is a sink where its norm is above this many times the median of its response and layer.
SINK = 10.0


def doses(
    counted: Mapping[str, RowCounts], norms: RowCounts | None, n_rows: int | None = None
) -> dict[str, float]:
    """``NAME_dose`` and ``NAME_dosed`` of every technique, and ``recursion_beyond``, at one layer.

    Args:
        counted: counter → where it counted.
        norms: of the layer's own output; None where it is not known, as at the top: nothing is
            then taken for a sink.
        n_rows: of the response, where it has fewer than ran.
    """
    sinks = _sinks(norms, n_rows)
    found = {}
    for name, (edits, change) in dose_counters().items():
        for counter, source in ((f"{name}_dose", change), (f"{name}_dosed", edits)):
            where = counted.get(source)
            found[counter] = 0 if where is None else where.before(n_rows, without=sinks)
    return found | {BEYOND: _beyond(counted.get(GROWTH), norms, n_rows)}


def _beyond(growth: RowCounts | None, norms: RowCounts | None, n_rows: int | None) -> int:
    """States that recursion made larger than any that the layer itself put out."""
    if growth is None or norms is None or not len(growth.rows):
        return 0
    own = norms.numbers[np.isfinite(norms.numbers) & norms.within(n_rows)]
    kept = growth.within(n_rows)
    before = np.zeros(max(norms.rows.max(), growth.rows.max()) + 1)
    before[norms.rows] = norms.numbers
    after = growth.numbers[kept] * before[growth.rows[kept]]
    return int((after > own.max(initial=0.0)).sum())


def _sinks(norms: RowCounts | None, n_rows: int | None) -> np.ndarray:
    """The rows that are sinks."""
    if norms is None:
        return np.empty(0, dtype=np.int64)
    kept = np.isfinite(norms.numbers) & norms.within(n_rows)
    rows, own = norms.rows[kept], norms.numbers[kept]
    # no median is below the least
    if not len(own) or own.max() <= SINK * own.min():
        return np.empty(0, dtype=np.int64)
    return rows[own > SINK * np.median(own)]
