"""One part: the states of some responses, written as they come, complete or not there at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from l2_harness.analysis.states import layout
from l2_harness.analysis.states.forcing import LayerOutput, OutputRows
from l2_harness.analysis.states.verification import Deviation
from l2_harness.analysis.states.wanted import Wanted
from l2_harness.config.errors import ConfigError

_TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class PartWriter:
    """Takes batches of responses in order and puts each layer's rows into a file of its own.

    Args:
        states: the folder of all parts.
        responses: those of this part, in the order in which their rows come.
        layers: the captured layers.
        d_model: components of a state.
        dtype: how states are stored, a key of ``layout.STORED``.
    """

    def __init__(
        self,
        states: Path,
        responses: Sequence[Wanted],
        layers: Sequence[int],
        d_model: int,
        dtype: str,
    ) -> None:
        self._responses, self._layers, self._dtype = list(responses), list(layers), dtype
        self._lengths = np.array([len(w.tokens) for w in responses])
        n_rows = int(self._lengths.sum())
        self._folder, self._final = layout.new_part(states)
        shape = (n_rows, d_model)
        try:
            self._files = {
                layer: _room(self._folder / layout.layer_file(layer), layout.STORED[dtype], shape)
                for layer in layers
            }
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._square_sums = np.zeros((len(layers), d_model))
        self.norms = np.full((n_rows, len(layers)), np.nan, dtype=np.float32)
        self._change = np.full((n_rows, len(layers)), np.nan, dtype=np.float32)
        self._entropies: dict[str, np.ndarray] = {}
        self._outputs: list[OutputRows] = []
        self._prompts: list[np.ndarray] = []
        self._start = 0

    def take(self, layer: int, rows: LayerOutput) -> None:
        """A layer's rows of the batch in flight.

        Raises:
            ConfigError: a state that the type on disk can't hold.
        """
        index = self._layers.index(layer)
        place = slice(self._start, self._start + len(rows.norms))
        narrow = rows.states.to(_TORCH[self._dtype])
        if self._dtype == "float16" and bool((narrow.isinf() & rows.states.isfinite()).any()):
            raise ConfigError(
                f"a state of layer {layer} has components beyond float16's range: pass --dtype "
                "bfloat16 or float32."
            )
        bits = narrow.view(torch.int16) if self._dtype == "bfloat16" else narrow
        self._files[layer][place] = bits.cpu().numpy().view(layout.STORED[self._dtype])
        self._square_sums[index] += narrow.double().square().sum(0).cpu().numpy()
        self.norms[place, index] = rows.norms.cpu().numpy()
        self._change[place, index] = rows.change.cpu().numpy()
        for name, values in rows.entropies.items():
            empty = np.full_like(self._change, np.nan)
            self._entropies.setdefault(name, empty)[place, index] = values.cpu().numpy()

    def end_batch(self, outputs: OutputRows, prompts: Sequence[np.ndarray]) -> None:
        """The batch is through; its rows' distributions, and the ids of its prompts."""
        self._outputs.append(outputs)
        self._prompts += prompts
        self._start += len(outputs.entropy)

    def entropy(self) -> np.ndarray:
        """(rows,) of all batches so far."""
        return np.concatenate([o.entropy for o in self._outputs])

    def commit(self, worst: Deviation) -> Path:
        """Put everything on disk, with what the verification found, and give the part its name."""
        for file in self._files.values():
            file.flush()
        self._files.clear()
        np.save(self._folder / layout.SQUARE_SUMS, self._square_sums)
        found = {"norm": worst.norm, "entropy": worst.entropy}
        (self._folder / layout.DEVIATION).write_text(json.dumps(found) + "\n", "ascii")
        self._write_index()
        for path in self._folder.iterdir():
            _sync(path)
        _sync(self._folder)
        os.replace(self._folder, self._final)
        _sync(self._final.parent)
        return self._final

    def discard(self) -> None:
        """Leave nothing behind."""
        self._files.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_index(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        ends = np.cumsum(self._lengths)[:-1]
        columns: dict[str, Any] = {
            name: [w.key[i] for w in self._responses] for i, name in enumerate(layout.KEY)
        }
        columns |= {
            "question": [w.question for w in self._responses],
            "rows": self._lengths,
            "thinking_end": pa.array([w.thinking_end for w in self._responses], pa.int32()),
            "prompt_ids": [p.astype(np.int32) for p in self._prompts],
            "tokens": [w.tokens.astype(np.int32) for w in self._responses],
        }
        by_layer = {"norms": self.norms, "change": self._change, **self._entropies}
        columns |= {
            name: [part.ravel() for part in np.split(values, ends)]
            for name, values in by_layer.items()
        }
        for name in ("logprob", "entropy", "margin"):
            values = np.concatenate([getattr(o, name) for o in self._outputs])
            columns[name] = np.split(values.astype(np.float32), ends)
        pq.write_table(pa.table(columns), self._folder / layout.INDEX, compression="zstd")


def _room(path: Path, dtype: str, shape: tuple[int, int]) -> np.memmap[Any, Any]:
    """An array in a file, whose blocks are taken now.

    On a disk that is full, writing into a map of blocks that are not there kills the process.

    Raises:
        OSError: there is no room.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
