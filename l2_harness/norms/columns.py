"""How a column of a trace is declared, stored and read: a field of the record, with its kind.

The record's dataclass is the only place that knows the columns; the schema, the writer and the
readers derive from it. A column that an older file lacks reads as null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.norms.signals import SIGNALS, Signal

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Kind:
    """What the values of a column look like.

    Attributes:
        arrow: in a file; makes the type, pyarrow being at hand.
        stored: a record's value as pyarrow takes it.
        read: a column as pandas takes it.
    """

    arrow: Callable[[], pa.DataType]
    stored: Callable[[Any], Any] = lambda value: value
    read: Callable[[pa.ChunkedArray], Any] = lambda column: column.to_pandas()


def _plain(name: str) -> Kind:
    """A scalar of a type of Arrow's."""
    return Kind(lambda: _arrow(name))


def _array(name: str) -> Kind:
    """A flat list of numbers, read as a view of the table's memory.

    Lists have 64-bit offsets: a big run's norms pass 2³¹ values once its parts are together.
    """
    return Kind(
        lambda: _arrow("large_list", _arrow(name)),
        lambda value: None if value is None else np.ravel(value),
        lambda column: objects(_vectors(column)),
    )


def _arrow(name: str, *of: Any) -> pa.DataType:
    import pyarrow as pa

    return getattr(pa, name)(*of)


def _event_type() -> pa.DataType:
    import pyarrow as pa

    event = {"row": "int32", "layer": "int32", "kind": "string", "value": "float32"}
    return pa.large_list(
        pa.struct({name: _arrow(kind) for name, kind in (event | {"detail": "string"}).items()})
    )


def _nullable_integers(column: pa.ChunkedArray) -> Any:
    import pandas as pd

    return pd.array(column.to_pylist(), dtype="Int32")


WORD, TEXT, FLAG = _plain("string"), _plain("large_string"), _plain("bool_")
COUNT, LARGE_COUNT = _plain("int32"), _plain("int64")
ROW = Kind(lambda: _arrow("int32"), read=_nullable_integers)
FLOATS, TOKENS, LAYERS = _array("float32"), _array("int32"), _array("int16")
EVENTS = Kind(
    _event_type,
    lambda events: [vars(event) for event in events],
    lambda column: objects(column.to_pylist()),
)
SCORES = Kind(
    lambda: _arrow("map_", _arrow("string"), _arrow("float64")),
    lambda scores: list(scores.items()),
    lambda column: objects([None if row is None else dict(row) for row in column.to_pylist()]),
)


@dataclass(frozen=True)
class Column:
    """A column of a trace file.

    Attributes:
        name: in the file.
        kind: of its values.
        meaning: what it holds.
        since: the schema version that has it first, or with this meaning.
        check: takes the column's name and a value, and gives the value as it is stored; None
            where the record checks it beside others.
    """

    name: str
    kind: Kind
    meaning: str
    since: int = 1
    check: Callable[[str, Any], Any] | None = None


def column(
    kind: Kind,
    meaning: str,
    *,
    default: Any = MISSING,
    check: Callable[[str, Any], Any] | None = None,
    since: int = 1,
) -> Any:
    """A field of the record that is a column of that name."""
    metadata = {"column": (kind, meaning, since, check)}
    if isinstance(default, Mapping):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def columns_of(record: type) -> tuple[Column, ...]:
    """The columns that a record's fields declare, in order; its signals are one each."""
    return _columns_of(record, tuple(SIGNALS))


@cache
def _columns_of(record: type, signals: tuple[Signal, ...]) -> tuple[Column, ...]:
    found: list[Column] = []
    for spec in fields(record):
        if spec.name == "signals":
            found += [Column(s.name, FLOATS, s.meaning, s.since) for s in signals]
        else:
            found.append(Column(spec.name, *spec.metadata["column"]))
    return tuple(found)


def objects(values: list[Any]) -> np.ndarray:
    """An object array that holds each value as it is: numpy would stack equal shapes."""
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array


def _vectors(column: pa.ChunkedArray) -> list[np.ndarray | None]:
    """A view of each list of a list column, None for a null."""
    result: list[np.ndarray | None] = []
    for chunk in column.chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        null = chunk.is_null().to_numpy(zero_copy_only=False)
        result += [
            None if is_null else values[start:end]
            for start, end, is_null in zip(offsets[:-1], offsets[1:], null, strict=True)
        ]
    return result
