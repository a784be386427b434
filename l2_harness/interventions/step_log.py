"""What happened at which row: kept as the steps' own tensors, read out when a response ends.

Counters are sums over this log, so a step pays for no counting kernel and no synchronisation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.row_set import RowSet

#: Entries of a kind and layer after which they are worth moving to the host: many thousands of
#: small objects would cost more in garbage collection than in memory.
_MANY = 256

#: The kind of entry of every row, whatever acts on it: its norm and τ.
ROW = "row"


class LogKey(NamedTuple):
    """What an entry is about."""

    kind: str
    layer: int


class LogRows(NamedTuple):
    """Entries of one response, kind and layer, on the host.

    Attributes:
        rows: (n,) int64.
        may_edit: (n,) bool, whether a technique may edit the row.
        columns: C arrays of shape (n,).
    """

    rows: np.ndarray
    may_edit: np.ndarray
    columns: Sequence[np.ndarray]

    @classmethod
    def joined(cls, parts: Sequence[LogRows]) -> LogRows:
        """Those of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        rows, may_edit, *columns = (
            np.concatenate(arrays)
            for arrays in zip(*((p.rows, p.may_edit, *p.columns) for p in parts), strict=True)
        )
        return cls(rows, may_edit, columns)


class _Entry(NamedTuple):
    rows: RowSet
    mask: Tensor | None
    columns: tuple[Tensor, ...]


class StepLog:
    """Append-only while a model runs."""

    def __init__(self) -> None:
        self._entries: defaultdict[LogKey, list[_Entry]] = defaultdict(list)
        self._held: defaultdict[int, defaultdict[LogKey, list[LogRows]]] = defaultdict(
            lambda: defaultdict(list)
        )
        #: Whether :meth:`read` is due.
        self.is_long = False

    def add(
        self, kind: str, layer: int, rows: RowSet, mask: Tensor | None, *columns: Tensor
    ) -> None:
        """Note the rows where mask: (n,) holds (None: all), with columns of shape (n,).

        The tensors are kept, not copied: they must not be changed afterwards.
        """
        entries = self._entries[LogKey(kind, layer)]
        entries.append(_Entry(rows, mask, columns))
        self.is_long |= len(entries) >= _MANY

    def read(self, epochs: np.ndarray) -> None:
        """Move what was noted to the host; waits for the device.

        Args:
            epochs: (n_slots,) of the responses that the slots have: rows of others are over.
        """
        orders: dict[tuple[int, ...], _Order] = {}
        for key, entries in self._entries.items():
            rows, masks, columns = zip(*entries, strict=True)
            found = [torch.cat(parts).cpu().numpy() for parts in zip(*columns, strict=True)]
            which = tuple(map(id, rows))
            if which not in orders:
                orders[which] = _Order(rows, epochs)
            mask = None if masks[0] is None else torch.cat(masks).cpu().numpy()
            for slot, part in orders[which].parts(mask, found):
                self._held[slot][key].append(part)
        self._entries.clear()
        self.is_long = False

    def of(self, slot: int) -> dict[LogKey, LogRows]:
        """What was read of the response in a slot."""
        return {key: LogRows.joined(parts) for key, parts in self._held.get(slot, {}).items()}

    def forget(self, slot: int) -> None:
        """Let go of what was read of a response."""
        self._held.pop(slot, None)


class _Order:
    """The rows of several entries by slot, in order.

    Each slot gets copies, so that a long response does not keep what others have left.
    """

    def __init__(self, rows: Sequence[RowSet], epochs: np.ndarray) -> None:
        slots = np.concatenate([own.slots for own in rows])
        self._order = np.argsort(slots, kind="stable")
        current = epochs[slots] == np.concatenate([own.epochs for own in rows])
        if not current.all():
            self._order = self._order[current[self._order]]
        self._slots = slots[self._order]
        self._rows = np.concatenate([own.rows for own in rows])[self._order]
        self._may_edit = np.concatenate([own.may_edit for own in rows])[self._order]

    def parts(
        self, mask: np.ndarray | None, columns: Sequence[np.ndarray]
    ) -> Iterator[tuple[int, LogRows]]:
        """Each slot's own, where mask: (n,) holds, with columns of shape (n,)."""
        if mask is None:
            order, spans = self._order, self._spans
        else:
            kept = np.flatnonzero(mask[self._order])
            order = self._order[kept]
            spans = _spans(self._slots[kept], self._rows[kept], self._may_edit[kept])
        ordered = [column[order] for column in columns]
        for slot, part, rows, may_edit in spans:
            yield slot, LogRows(rows, may_edit, [column[part].copy() for column in ordered])

    @cached_property
    def _spans(self) -> list[_Span]:
        return _spans(self._slots, self._rows, self._may_edit)


#: A slot, where its rows are, and what is known of them.
_Span = tuple[int, slice, np.ndarray, np.ndarray]


def _spans(slots: np.ndarray, rows: np.ndarray, may_edit: np.ndarray) -> list[_Span]:
    """One a slot, slots: (n,) in order."""
    if not len(slots):
        return []
    starts = [0, *(np.flatnonzero(slots[1:] != slots[:-1]) + 1).tolist()]
    ends = [*starts[1:], len(slots)]
    parts = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    return [
        (slot, part, rows[part].copy(), may_edit[part].copy())
        for slot, part in zip(slots[starts].tolist(), parts, strict=True)
    ]
