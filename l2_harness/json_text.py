"""JSON from files, whoever wrote them: a value of the shape that was asked for, or a ValueError."""

from __future__ import annotations

import json
from typing import Any

#: A type or several, ``[shape]`` for a list of it, ``{key: shape}`` for an object: keys that are
#: there are checked, and others may be there too. ``int`` and ``float`` take no bool.
Shape = Any

_LARGEST = 2**63


def parse_json(text: str | bytes) -> Any:
    """The value that a text holds.

    Raises:
        ValueError: no JSON, no UTF-8, a number of too many figures, or nested too deeply to read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def check_shape(value: Any, shape: Shape, name: str = "the value") -> None:
    """Nothing where the value has the shape.

    Raises:
        ValueError: it has another one; the part that is wrong is named.
    """
    if isinstance(shape, dict):
        check_shape(value, (dict,), name)
        for key, inner in shape.items():
            if key in value:
                check_shape(value[key], inner, key)
    elif isinstance(shape, list):
        check_shape(value, (list,), name)
        for item in value:
            check_shape(item, shape[0], name)
    elif not any(_is(value, kind) for kind in (shape if isinstance(shape, tuple) else (shape,))):
        raise ValueError(f"{name} is {_shown(value)}")


def _is(value: Any, kind: Any) -> bool:
    if kind is None or value is None:
        return kind is None and value is None
    if kind is float:
        return isinstance(value, float) or _is(value, int)
    if kind is int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and -_LARGEST <= value < _LARGEST
    return isinstance(value, kind)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
