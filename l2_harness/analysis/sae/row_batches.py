"""Batches of rows in an order that a seed decides: where a run stands is a number of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError

#: Up to here a layer's rows are held in memory, which makes them faster to draw.
_CACHE_BYTES = 2**30


class RowBatches(Iterator[Tensor]):
    """(batch, d) float32 rows of one layer, without end; every pass is shuffled anew.

    Args:
        store: the states.
        layer: which layer.
        rows: the numbers of the rows that may come.
        batch: rows at a time; the last, incomplete batch of a pass is left out.
        seed: of the order.
        position: how many rows have been given out already.

    Raises:
        ConfigError: fewer rows than a batch.
    """

    def __init__(
        self,
        store: StateStore,
        layer: int,
        rows: np.ndarray,
        batch: int,
        seed: int,
        position: int = 0,
    ) -> None:
        if len(rows) < batch:
            raise ConfigError(
                f"{len(rows)} rows are less than one batch of {batch}: pass a smaller --batch, or "
                "capture more responses."
            )
        self._store, self._layer, self._rows, self._batch = store, layer, rows, batch
        self._seed = seed
        self._step = position // batch
        self._steps_a_pass = len(rows) // batch
        self._order: tuple[int, np.ndarray] | None = None
        held = len(rows) * store.d_model * 4 <= _CACHE_BYTES
        self._held = store.take(layer, rows) if held else None

    def __next__(self) -> Tensor:
        number, place = divmod(self._step, self._steps_a_pass)
        if self._order is None or self._order[0] != number:
            rng = np.random.default_rng([self._seed, self._layer, number])
            self._order = number, rng.permutation(len(self._rows))
        chosen = self._order[1][place * self._batch : (place + 1) * self._batch]
        self._step += 1
        if self._held is not None:
            return self._held[torch.from_numpy(chosen)]
        return self._store.take(self._layer, self._rows[chosen])
