"""What happened at which row: kept as the steps' own tensors, read out for many responses at once.

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

    def read(self, wanted: Sequence[int]) -> None:
        """Move what was noted to the host; waits for the device.

        Args:
            wanted: the numbers of responses: those of others are let go of.
        """
        if not self._entries:
            return
        orders: dict[tuple[int, ...], _Order] = {}
        for key, entries in self._entries.items():
            rows, masks, columns = zip(*entries, strict=True)
            found = [torch.cat(parts).cpu().numpy() for parts in zip(*columns, strict=True)]
            which = tuple(map(id, rows))
            if which not in orders:
                orders[which] = _Order(rows, wanted)
            mask = None if masks[0] is None else torch.cat(masks).cpu().numpy()
            for number, part in orders[which].parts(mask, found):
                self._held[number][key].append(part)
        self._entries.clear()
        self.is_long = False

    def of(self, number: int) -> dict[LogKey, LogRows]:
        """What was read of a response."""
        return {key: LogRows.joined(parts) for key, parts in self._held.get(number, {}).items()}

    def keep(self, wanted: Sequence[int]) -> None:
        """Let go of what was read of all responses but these."""
        for number in self._held.keys() - set(wanted):
            del self._held[number]


class _Order:
    """The rows of several entries by response, in order.

    Each response gets copies, so that a long one does not keep what others have left.
    """

    def __init__(self, rows: Sequence[RowSet], wanted: Sequence[int]) -> None:
        numbers = np.concatenate([own.numbers for own in rows])
        self._order = np.argsort(numbers, kind="stable")
        self._order = self._order[np.isin(numbers[self._order], wanted)]
        self._numbers = numbers[self._order]
        self._rows = np.concatenate([own.rows for own in rows])[self._order]
        self._may_edit = np.concatenate([own.may_edit for own in rows])[self._order]

    def parts(
        self, mask: np.ndarray | None, columns: Sequence[np.ndarray]
    ) -> Iterator[tuple[int, LogRows]]:
        """Each response's own, where mask: (n,) holds, with columns of shape (n,)."""
        if mask is None:
            order, spans = self._order, self._spans
        else:
            kept = np.flatnonzero(mask[self._order])
            order = self._order[kept]
            spans = _spans(self._numbers[kept], self._rows[kept], self._may_edit[kept])
        ordered = [column[order] for column in columns]
        for number, part, rows, may_edit in spans:
            yield number, LogRows(rows, may_edit, [column[part].copy() for column in ordered])

    @cached_property
    def _spans(self) -> list[_Span]:
        return _spans(self._numbers, self._rows, self._may_edit)


#: A response, where its rows are, and what is known of them.
_Span = tuple[int, slice, np.ndarray, np.ndarray]


def _spans(numbers: np.ndarray, rows: np.ndarray, may_edit: np.ndarray) -> list[_Span]:
    """One a response, numbers: (n,) in order."""
    if not len(numbers):
        return []
    starts = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()]
    ends = [*starts[1:], len(numbers)]
    parts = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    return [
        (number, part, rows[part].copy(), may_edit[part].copy())
        for number, part in zip(numbers[starts].tolist(), parts, strict=True)
    ]
