"""A section's table as a page shows it: texts, what they sort by, and what the columns mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from l2_harness.findings.numbers import MISSING, interval_texts, number_texts
from l2_harness.findings.section import Table

if TYPE_CHECKING:
    import pandas as pd

#: Tables with more rows are folded away, those with still more are cut.
FOLDED_ROWS = 16
MOST_ROWS = 1000

#: Characters that fit beside each other in a row of a table.
_ROW_WIDTH = 92
_PADDING = 3

_LOW, _HIGH = "_low", "_high"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: as shown.
        interval: as shown after it, or nothing.
        sort: the number to sort by, or None for text and for what is missing.
    """

    text: str
    interval: str = ""
    sort: float | None = None


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: in the CSV.
        label: over it.
        meaning: what it is, or nothing.
        numeric: whether it holds numbers.
        interval: whether each number comes with its interval.
        wide: whether it holds long text.
        cells: down the rows.
    """

    name: str
    label: str
    meaning: str
    numeric: bool
    interval: bool
    wide: bool
    cells: Sequence[Cell]

    @property
    def width(self) -> int:
        """About how many characters it takes, its interval beside the value."""
        longest = max((len(cell.text) + len(cell.interval) for cell in self.cells), default=0)
        words = max(map(len, self.label.split()), default=0)
        return max(min(longest, 24) if self.wide else longest, words) + _PADDING


@dataclass(frozen=True)
class TableView:
    """A table, ready to be shown.

    Attributes:
        name, title, caption: the table's.
        columns: left to right.
        rows: the cells, row by row.
        total: rows that the CSV has.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    total: int

    @property
    def folded(self) -> bool:
        """Whether it is shown on demand only."""
        return self.total > FOLDED_ROWS

    @property
    def stacked(self) -> bool:
        """Whether intervals stand below their values, since not all fit beside them."""
        return sum(column.width for column in self.columns) > _ROW_WIDTH

    @property
    def meanings(self) -> Sequence[Column]:
        """The columns that need a word."""
        return [column for column in self.columns if column.meaning]


def table_view(table: Table, most_rows: int = MOST_ROWS) -> TableView:
    """``x``, ``x_low`` and ``x_high`` become one column; the first ``most_rows`` rows are kept."""
    frame = table.frame.head(most_rows)
    names = [str(name) for name in frame.columns]
    merged = {name for name in names if {name + _LOW, name + _HIGH} <= set(names)}
    ends = {name + end for name in merged for end in (_LOW, _HIGH)}
    columns = [
        _column(frame, name, name in merged, table.meanings) for name in names if name not in ends
    ]
    rows = list(zip(*(column.cells for column in columns), strict=True))
    return TableView(table.name, table.title, table.caption, columns, rows, len(table.frame))


def _column(frame: pd.DataFrame, name: str, interval: bool, meanings: Mapping[str, str]) -> Column:
    values = frame[name]
    meaning = meanings.get(name, "")
    label = name.replace("_", " ")
    if not _is_numeric(values):
        cells = [Cell(_text(value)) for value in values]
        wide = any(len(cell.text) > 32 for cell in cells)
        return Column(name, label, meaning, False, False, wide, cells)
    numbers = _floats(values)
    if interval:
        texts = interval_texts(numbers, _floats(frame[name + _LOW]), _floats(frame[name + _HIGH]))
    else:
        texts = [(text, "") for text in number_texts(numbers, name)]
    cells = [
        Cell(text, between, None if math.isnan(number) else number)
        for (text, between), number in zip(texts, numbers, strict=True)
    ]
    return Column(name, label, meaning, True, interval, False, cells)


def _is_numeric(values: pd.Series) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(values) and not is_bool_dtype(values))


def _floats(values: pd.Series) -> list[float]:
    return [float(value) for value in values.astype("float64")]


def _text(value: Any) -> str:
    import pandas as pd

    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return MISSING
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    return str(value)
