"""What a value of a trace column must be; an error names the column.

Each function returns the value in the form in which it is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from l2_harness.norms.trace_schema import TraceEvent

#: Takes a column's name and a value; gives the value as it is stored.
Check = Callable[[str, Any], Any]

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_HEX = re.compile(r"[0-9a-f]+")


def run_id(value: Any) -> str:
    """A name that is safe in file names on every system."""
    if not isinstance(value, str) or not _RUN_ID.fullmatch(value):
        raise ValueError(
            f"run_id={value!r} can't be part of a file name: pass 1 to 100 letters, digits, "
            "'.', '_' or '-', not starting with '.' or '-'."
        )
    return value


def run_id_column(name: str, value: Any) -> str:
    """The same of a column."""
    return run_id(value)


def one_of(allowed: Sequence[str]) -> Check:
    """A word out of a few."""

    def check(name: str, value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{name}={value!r} is unknown. Allowed: {', '.join(allowed)}.")
        return str(value)

    return check


def optional(check: Check) -> Check:
    """None, or what another check takes."""
    return lambda name, value: None if value is None else check(name, value)


def task(name: str, value: Any) -> str:
    """A task's name, not empty."""
    if not isinstance(value, str) or not value or value != text(name, value):
        raise ValueError(f"{name}={value!r} must be the name of an lm-eval task.")
    return value


def text(name: str, value: Any) -> str:
    """Text that UTF-8 can hold: each lone surrogate becomes U+FFFD."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a str, not {type(value).__name__}.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def hex_digest(name: str, value: Any) -> str:
    """A digest such as ``hashlib.sha256(...).hexdigest()``."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError(f"{name}={value!r} must be a digest in lower-case hex digits.")
    return value


def count(name: str, value: Any) -> int:
    """An integer from 0 to 2³¹ − 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) < 2**31:
        raise ValueError(f"{name}={value!r} must be an integer from 0 to 2**31 - 1.")
    return int(value)


def row(name: str, value: Any, rows: int) -> int:
    """The index of one of the response's rows."""
    index = count(name, value)
    if index >= rows:
        raise ValueError(f"{name}={index} is no row of a response with rows 0 to {rows - 1}.")
    return index


def flag(name: str, value: Any) -> bool:
    """True or False, Python's or numpy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={value!r} must be True or False.")
    return bool(value)


def token_ids(name: str, value: Any) -> np.ndarray:
    """(T,) int32 with T ≥ 1."""
    ids = _integers(name, value, np.int32)
    if not len(ids):
        raise ValueError(f"{name} is empty: a response has at least one token.")
    return ids


def layer_ids(name: str, value: Any) -> np.ndarray:
    """(L,) int16, all different, none negative."""
    ids = _integers(name, value, np.int16)
    if len(np.unique(ids)) != len(ids) or (ids < 0).any():
        raise ValueError(f"{name}={ids.tolist()} must be different layers, counted from 0.")
    return ids


def per_row(name: str, value: Any, rows: int, n_layers: int | None = None) -> np.ndarray | None:
    """(rows,) float32, or (rows, n_layers) where ``n_layers`` is given; None stays None."""
    shape = (rows,) if n_layers is None else (rows, n_layers)
    needs = "one value for each of the tokens"
    needs += "" if n_layers is None else " at each of the layers"
    return None if value is None else _floats(name, value, shape, needs)


def per_layer(name: str, value: Any, n_layers: int) -> np.ndarray | None:
    """(n_layers,) float32; None stays None."""
    needs = "one value for each of the layers"
    return None if value is None else _floats(name, value, (n_layers,), needs)


def event(value: TraceEvent, rows: int) -> TraceEvent:
    """An event at a row that the response has."""
    kind = text("events.kind", value.kind)
    if not kind:
        raise ValueError("events.kind is empty: name what happened, such as 'recursion'.")
    return type(value)(
        row=row("events.row", value.row, rows),
        layer=count("events.layer", value.layer),
        kind=kind,
        value=None if value.value is None else _number("events.value", value.value),
        detail=None if value.detail is None else text("events.detail", value.detail),
    )


def scores(name: str, value: Mapping[str, float]) -> dict[str, float]:
    """Name → float; booleans and numpy's numbers count as numbers."""
    return {text(f"{name} key", k): _number(f"{name}[{k!r}]", v) for k, v in value.items()}


def _number(name: str, value: Any) -> float:
    if isinstance(value, np.bool_):
        value = bool(value)
    if not isinstance(value, Real):
        raise ValueError(f"{name}={value!r} must be a number.")
    return float(value)


def _integers(name: str, value: Any, dtype: type) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} must be a list of integers, not {array.dtype} of shape {array.shape}."
        )
    limits = np.iinfo(dtype)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise ValueError(f"{name} holds {array.min()} … {array.max()}, beyond {limits.dtype}.")
    return _frozen(array, dtype)


def _floats(name: str, value: Any, shape: tuple[int, ...], needs: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold numbers, not {array.dtype}.")
    if array.shape != shape or not math.prod(shape):
        raise ValueError(f"{name} has the shape {array.shape}; {needs} is {shape}.")
    return _frozen(array, np.float32)


def _frozen(array: np.ndarray, dtype: type) -> np.ndarray:
    with np.errstate(over="ignore"):  # a float64 beyond float32's range is stored as infinite
        result: np.ndarray = np.array(array, dtype=dtype, order="C")
    result.setflags(write=False)
    return result
