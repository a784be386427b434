"""A trace table as a pandas DataFrame, its lists as numpy views of the table's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.norms.columns import COUNT, objects
from l2_harness.norms.trace_schema import trace_columns

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The same rows; ``norms`` has the shape (T, L) if ``tokens`` and ``layers`` are there."""
    import pandas as pd

    kinds = {column.name: column.kind for column in trace_columns()}
    columns = {name: kinds.get(name, COUNT).read(table.column(name)) for name in table.column_names}
    if {"norms", "tokens", "layers"} <= columns.keys():
        shaped = zip(columns["norms"], columns["tokens"], columns["layers"], strict=True)
        columns["norms"] = objects(
            [None if n is None else n.reshape(len(t), len(ls)) for n, t, ls in shaped]
        )
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))
