"""A trace table as a pandas DataFrame, its lists as numpy views of the table's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_VECTORS = (
    *("tokens", "layers", "norms", "norm_mean"),
    *("logprob", "entropy", "self_certainty", "confidence"),
)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The same rows; ``norms`` has the shape (T, L) if ``tokens`` and ``layers`` are there."""
    import pandas as pd

    columns = {name: _column(table, name) for name in table.column_names}
    if {"norms", "tokens", "layers"} <= columns.keys():
        shaped = zip(columns["norms"], columns["tokens"], columns["layers"], strict=True)
        columns["norms"] = _objects(
            [None if n is None else n.reshape(len(t), len(ls)) for n, t, ls in shaped]
        )
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))


def _column(table: pa.Table, name: str) -> Any:
    import pandas as pd

    column = table.column(name)
    if name in _VECTORS:
        return _objects(_vectors(column))
    if name == "scores":
        return _objects([None if row is None else dict(row) for row in column.to_pylist()])
    if name == "events":
        return _objects(column.to_pylist())
    if name == "thinking_end":
        return pd.array(column.to_pylist(), dtype="Int32")
    return column.to_pandas()


def _vectors(column: pa.ChunkedArray) -> list[np.ndarray | None]:
    """A view of each list of a list column, None for a null."""
    result: list[np.ndarray | None] = []
    for chunk in column.chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        null = chunk.is_null().to_numpy(zero_copy_only=False)
        result += [
            None if is_null else values[start:end]
            for start, end, is_null in zip(offsets[:-1], offsets[1:], null, strict=True)
        ]
    return result


def _objects(values: list[Any]) -> np.ndarray:
    """An object array that holds each value as it is: numpy would stack equal shapes."""
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array
