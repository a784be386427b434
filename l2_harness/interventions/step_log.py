"""What happened at which row: kept as the steps' own tensors, read out at the end.

Counters are sums over this log, so a step pays for no counting kernel and no synchronisation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.row_set import RowSet

#: Entries after which small tensors become one block, and blocks after which one grows out of
#: them. Many thousands of small objects would cost more in garbage collection than in memory.
_BLOCK = 32
_BLOCKS = 64

#: The kind of entry of every row, whatever acts on it: its norm and τ.
ROW = "row"


class LogKey(NamedTuple):
    """What an entry is about."""

    kind: str
    layer: int


@dataclass(frozen=True)
class LogRows:
    """Entries of one kind and layer, on the host.

    Attributes:
        slots, rows, epochs: (n,) int64.
        may_edit: (n,) bool, whether a technique may edit the row.
        columns: C arrays of shape (n,).
    """

    slots: np.ndarray
    rows: np.ndarray
    epochs: np.ndarray
    may_edit: np.ndarray
    columns: tuple[np.ndarray, ...]

    def take(self, mask: np.ndarray) -> LogRows:
        """Some of these rows."""
        columns = tuple(column[mask] for column in self.columns)
        return LogRows(
            self.slots[mask], self.rows[mask], self.epochs[mask], self.may_edit[mask], columns
        )

    def and_then(self, later: LogRows) -> LogRows:
        """These rows and those of the same kind and layer that were noted later."""
        mine = (self.slots, self.rows, self.epochs, self.may_edit, *self.columns)
        theirs = (later.slots, later.rows, later.epochs, later.may_edit, *later.columns)
        slots, rows, epochs, may_edit, *columns = map(
            np.concatenate, zip(mine, theirs, strict=True)
        )
        return LogRows(slots, rows, epochs, may_edit, tuple(columns))


class _Entry(NamedTuple):
    slots: np.ndarray
    rows: np.ndarray
    epochs: np.ndarray
    may_edit: np.ndarray
    mask: Tensor | None
    columns: tuple[Tensor, ...]


class StepLog:
    """Append-only while a model runs."""

    def __init__(self) -> None:
        self._entries: dict[LogKey, list[_Entry]] = defaultdict(list)
        self._blocks: dict[LogKey, list[_Entry]] = defaultdict(list)
        self._ended: dict[int, int] = {}  # slot → the latest epoch that was taken

    def add(
        self, kind: str, layer: int, rows: RowSet, mask: Tensor | None, *columns: Tensor
    ) -> None:
        """Note the rows where mask: (n,) holds (None: all), with columns of shape (n,).

        The tensors are kept, not copied: they must not be changed afterwards.
        """
        key = LogKey(kind, layer)
        entries = self._entries[key]
        entries.append(_Entry(rows.slots, rows.rows, rows.epochs, rows.may_edit, mask, columns))
        if len(entries) >= _BLOCK:
            self._close_block(key)

    def read(self) -> dict[LogKey, LogRows]:
        """All rows whose mask holds, on the host; the log is empty afterwards."""
        self._close_blocks()
        found = {
            key: _on_host(self._without_ended(_merged(blocks)))
            for key, blocks in self._blocks.items()
        }
        self._blocks.clear()
        return found

    def take(self, slot: int, epoch: int) -> dict[LogKey, LogRows]:
        """The rows of one response whose mask holds, on the host.

        All other rows stay where they are. Those of this slot, up to this epoch, are let go of
        when blocks become one.
        """
        found: dict[LogKey, LogRows] = {}
        if self._ended.get(slot) == epoch:
            return found
        self._close_blocks()
        for key, blocks in self._blocks.items():
            where = [_where(block, slot, epoch) for block in blocks]
            held = [i for i, places in enumerate(where) if len(places)] or [0]
            found[key] = _on_host(_merged([_select(blocks[i], where[i]) for i in held]))
        self._ended[slot] = epoch
        return found

    def _close_blocks(self) -> None:
        for key in list(self._entries):
            self._close_block(key)

    def _close_block(self, key: LogKey) -> None:
        blocks = self._blocks[key]
        blocks.append(_merged(self._entries.pop(key)))
        if len(blocks) >= _BLOCKS:
            blocks[:] = [self._without_ended(_merged(blocks))]

    def _without_ended(self, block: _Entry) -> _Entry:
        for slot, epoch in self._ended.items():
            going_on = (block.slots != slot) | (block.epochs > epoch)
            if not going_on.all():
                block = _select(block, np.flatnonzero(going_on))
        return block


def _where(block: _Entry, slot: int, epoch: int) -> np.ndarray:
    return np.flatnonzero((block.slots == slot) & (block.epochs == epoch))


def _select(block: _Entry, where: np.ndarray) -> _Entry:
    def part(tensor: Tensor) -> Tensor:
        return tensor[torch.from_numpy(where).to(tensor.device)]

    return _Entry(
        block.slots[where],
        block.rows[where],
        block.epochs[where],
        block.may_edit[where],
        None if block.mask is None else part(block.mask),
        tuple(part(column) for column in block.columns),
    )


def _merged(entries: Sequence[_Entry]) -> _Entry:
    slots, rows, epochs, may_edit, masks, columns = zip(*entries, strict=True)
    return _Entry(
        np.concatenate(slots),
        np.concatenate(rows),
        np.concatenate(epochs),
        np.concatenate(may_edit),
        None if masks[0] is None else torch.cat(masks),
        tuple(torch.cat(parts) for parts in zip(*columns, strict=True)),
    )


def _on_host(entry: _Entry) -> LogRows:
    columns = tuple(column.cpu().numpy() for column in entry.columns)
    rows = LogRows(entry.slots, entry.rows, entry.epochs, entry.may_edit, columns)
    return rows if entry.mask is None else rows.take(entry.mask.cpu().numpy())
