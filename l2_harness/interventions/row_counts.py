"""What a counter counted at which row of a response."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class RowCounts(NamedTuple):
    """What a counter counted: at ``rows``, (n,) integers, by these ``numbers``, (n,)."""

    rows: np.ndarray
    numbers: np.ndarray

    @classmethod
    def once(cls, rows: np.ndarray) -> RowCounts:
        """One at each of these rows."""
        return cls(rows, np.ones(len(rows), dtype=np.int64))

    def within(self, n_rows: int | None) -> np.ndarray:
        """(n,) bool, which are of a response's first rows; all where None."""
        return np.ones(len(self.rows), dtype=bool) if n_rows is None else self.rows < n_rows

    def before(self, row: int | None = None, without: np.ndarray | None = None) -> float:
        """The sum over the rows before one, or all, without some; whole for whole numbers."""
        numbers = self.numbers
        if row is not None or (without is not None and len(without)):
            own = self.within(row)
            if without is not None and len(without):
                own = own & ~np.isin(self.rows, without)
            numbers = numbers[own]
        return numbers.sum(dtype=np.float64 if numbers.dtype.kind == "f" else None).item()

    def and_then(self, more: RowCounts) -> RowCounts:
        """These and those of the same counter from elsewhere."""
        return RowCounts(*map(np.concatenate, zip(self, more, strict=True)))
