"""Norms without the largest dimensions of the states, read from a folder of captured states.

A few dimensions of a residual stream can be hundreds of times the others (Sun et al., arXiv
2402.17762), and then they are the norm. Capturing the states writes, next to them,
``norms_without_outliers.parquet``: a row a response with ``run_id``, ``task``, ``doc_id``, ``idx``,
``repeat``, ``sample``, ``layers``, and ``norms``, one flat list as in a trace; ``states.json`` says
under ``outlier_dims`` which dimensions each layer left out.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l2_harness.analysis.norms.trace_rows import RowBlock
from l2_harness.config.errors import ConfigError
from l2_harness.norms import TraceWarning
from l2_harness.norms.parquet_files import DamagedFileError, read_columns

FILE = "norms_without_outliers.parquet"
_KEYS = ("task", "doc_id", "idx", "repeat", "sample")


@dataclass(frozen=True, eq=False)
class OutlierFreeNorms:
    """The norms of captured responses without the outlier dimensions.

    Attributes:
        norms: key → (T, L) float32.
        layers: the L layers.
        dims: layer → the dimensions that were left out; empty where the folder doesn't say.
    """

    norms: Mapping[tuple[Any, ...], np.ndarray]
    layers: tuple[int, ...]
    dims: Mapping[str, Any] = field(default_factory=dict)

    def blocks(
        self, blocks: Iterator[RowBlock], traces: pd.DataFrame, layers: tuple[int, ...]
    ) -> Iterator[RowBlock]:
        """Each block with these norms in place of its own.

        A response that was not captured, or has another number of rows here, keeps no row.

        Args:
            blocks: of :func:`~l2_harness.analysis.norms.trace_rows.row_blocks`.
            traces: that they are of.
            layers: in the order wanted; one that was not captured is nan.
        """
        keys = list(traces[list(_KEYS)].itertuples(index=False, name=None))
        place = [self.layers.index(one) if one in self.layers else -1 for one in layers]
        unlike = 0
        for block in blocks:
            found = [self.norms.get(keys[member]) for member in block.members]
            fits = [
                norms is not None and len(norms) == length
                for norms, length in zip(found, block.lengths, strict=True)
            ]
            unlike += sum(norms is not None for norms in found) - sum(fits)
            kept = block.kept(np.repeat(fits, block.lengths))
            rows = [norms for norms, fit in zip(found, fits, strict=True) if fit]
            if rows:
                norms = np.concatenate([one for one in rows if one is not None])
                absent = np.full((len(norms), 1), np.nan, dtype=np.float32)
                norms = np.concatenate([norms, absent], axis=1)[:, place]
                yield replace(kept, norms=norms)
        if unlike:
            warnings.warn(
                f"{unlike} captured responses have another number of rows than the trace; left out",
                TraceWarning,
                stacklevel=2,
            )


def read_outlier_free(folder: Path, run_id: str, task: str) -> OutlierFreeNorms:
    """The norms of one run and task in a states folder.

    Raises:
        ConfigError: the folder has no such file, a damaged one, or nothing of the task.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(f"--states {folder} has no {FILE}: capture the states of the run first.")
    try:
        table = read_columns(path, ["run_id", *_KEYS, "layers", "norms"])
    except DamagedFileError as error:
        raise ConfigError(f"{path} can't be read ({error}); capture the states again.") from error
    frame = table.to_pandas()
    frame = frame[(frame["run_id"] == run_id) & (frame["task"] == task)]
    if frame.empty:
        raise ConfigError(f"{path} holds no response of task {task!r} in run {run_id!r}.")
    layers = tuple(int(layer) for layer in frame["layers"].iat[0])
    keys = frame[list(_KEYS)].itertuples(index=False, name=None)
    norms = {
        tuple(key): np.asarray(flat, dtype=np.float32).reshape(-1, len(layers))
        for key, flat, own in zip(keys, frame["norms"], frame["layers"], strict=True)
        if tuple(own) == layers and len(flat) % len(layers) == 0
    }
    return OutlierFreeNorms(norms, layers, _outlier_dims(folder))


def _outlier_dims(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / "states.json").read_text("utf-8"))["outlier_dims"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
