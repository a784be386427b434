"""Traces with a row a response token, the tidy form for plots and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.trace_schema import TraceKey

if TYPE_CHECKING:
    import pandas as pd

_REPEATED = (*TraceKey._fields, "thinking_end")


def explode_tokens(traces: pd.DataFrame) -> pd.DataFrame:
    """One row a response token, in the order of ``traces``.

    Args:
        traces: of :func:`~l2_harness.norms.read_traces`, with ``tokens``, ``layers`` and
            ``norms`` at least.

    Returns:
        The key columns and ``thinking_end`` that ``traces`` has; ``row`` (from 0), ``token``,
        a column ``norm_l<layer>`` for each layer that any response was monitored at, and
        those of the signals (:data:`~l2_harness.norms.signals.SIGNALS`) that ``traces`` has.
        float32, NaN where nothing was recorded.

    Raises:
        ValueError: a column is missing, or no response has norms (``record=summary``).
    """
    import pandas as pd

    missing = [name for name in ("tokens", "layers", "norms") if name not in traces]
    if missing:
        raise ValueError(f"explode_tokens needs the columns {', '.join(missing)} too.")
    if len(traces) and traces["norms"].isna().all():
        raise ValueError(
            "no response has norms by row: the run kept their means only (column norm_mean). "
            "Run it again with record=tokens."
        )
    lengths = np.array([len(tokens) for tokens in traces["tokens"]], dtype=np.int64)
    columns: dict[str, Any] = {
        name: traces[name].repeat(lengths).array for name in _REPEATED if name in traces
    }
    columns["row"] = _joined([np.arange(n, dtype=np.int32) for n in lengths], np.int32)
    columns["token"] = _joined(list(traces["tokens"]), np.int32)
    columns.update(_norm_columns(traces, lengths))
    for name in SIGNALS.names:
        if name in traces:
            pairs = zip(traces[name], lengths, strict=True)
            columns[name] = _joined([_or_nan(v, n) for v, n in pairs], np.float32)
    return pd.DataFrame(columns, index=pd.RangeIndex(int(lengths.sum())))


def _norm_columns(traces: pd.DataFrame, lengths: np.ndarray) -> dict[str, np.ndarray]:
    monitored = sorted({int(layer) for layers in traces["layers"] for layer in layers})
    values = np.full((len(monitored), int(lengths.sum())), np.nan, dtype=np.float32)
    position = {layer: index for index, layer in enumerate(monitored)}
    start = 0
    for layers, norms, n in zip(traces["layers"], traces["norms"], lengths, strict=True):
        if norms is not None:
            rows = [position[int(layer)] for layer in layers]
            values[rows, start : start + n] = norms.T
        start += n
    return {f"norm_l{layer}": values[index] for index, layer in enumerate(monitored)}


def _or_nan(values: np.ndarray | None, n: int) -> np.ndarray:
    return np.full(n, np.nan, dtype=np.float32) if values is None else values


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)
