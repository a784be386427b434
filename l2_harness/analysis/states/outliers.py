"""Norms without the few components that have most of the squares (arXiv 2402.17762)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.analysis.states.layout import KEY, WITHOUT_OUTLIERS
from l2_harness.analysis.states.store import StateStore
from l2_harness.norms.row_norms import row_norms

#: Responses a group of rows of the Parquet file.
_GROUP = 512


def outlier_dims(square_sums: np.ndarray, k: int) -> np.ndarray:
    """(layers, k) the components with the largest mean square, largest first.

    Args:
        square_sums: (layers, d) sums of squares over rows.
        k: how many; 0 gives none.
    """
    return np.argsort(-square_sums, axis=1, kind="stable")[:, :k]


def write_norms_without_outliers(states: Path, k: int) -> dict[str, list[int]]:
    """Write ``norms_without_outliers.parquet``: a row a response, as the traces have norms.

    Columns: the key (``run_id``, ``task``, ``doc_id``, ``idx``, ``repeat``, ``sample``),
    ``layers``, and ``norms``, T·L float32, row after row.

    Returns:
        Layer → the components that are left out, to be stored in ``states.json``.
    """
    store = StateStore(states)
    dims = outlier_dims(store.square_sums(), k)
    _write(store, dims, states / WITHOUT_OUTLIERS)
    return {
        str(layer): [int(dim) for dim in row] for layer, row in zip(store.layers, dims, strict=True)
    }


def _write(store: StateStore, dims: np.ndarray, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.tmp")
    writer: Any = None
    for start in range(0, len(store.index), _GROUP):
        responses = np.arange(start, min(start + _GROUP, len(store.index)))
        table = _group(store, dims, responses, pa)
        writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
        writer.write_table(table)
    writer.close()
    os.replace(temporary, path)


def _group(store: StateStore, dims: np.ndarray, responses: np.ndarray, pa: Any) -> Any:
    lengths = store.index["rows"].to_numpy()[responses]
    norms = np.empty((int(lengths.sum()), len(store.layers)), dtype=np.float32)
    for column, layer in enumerate(store.layers):
        kept = np.setdiff1d(np.arange(store.d_model), dims[column])
        at = 0
        for block in store.blocks(layer, responses):
            norms[at : at + len(block.states), column] = row_norms(block.states[:, kept]).numpy()
            at += len(block.states)
    keys = store.index.iloc[responses]
    columns = {name: keys[name].to_numpy() for name in KEY}
    lists = [part.ravel() for part in np.split(norms, np.cumsum(lengths)[:-1])]
    return pa.table(
        {
            **columns,
            "layers": pa.array([list(store.layers)] * len(responses), pa.large_list(pa.int16())),
            "norms": pa.array(lists, pa.large_list(pa.float32())),
        }
    )
