"""Parsers of numeric model arguments: an error says which numbers are allowed."""

from __future__ import annotations

import math
import re
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.options import Parser

#: More figures than this spell no setting.
_WHOLE = re.compile(r"[+-]?\d{1,30}")


def number(low: float, high: float = math.inf, *, above: bool = False) -> Parser:
    """A finite number from ``low`` to ``high``; ``above`` leaves ``low`` itself out."""
    span = f" above {low:g}" if above else f" of at least {low:g}" if low > -math.inf else ""
    allowed = f"a number{span}" + (f" and at most {high:g}" if high < math.inf else "")

    def parse(name: str, value: Any) -> float:
        found = as_number(value)
        if found is None or not low <= found <= high or (above and found == low):
            raise ConfigError(f"{name}={value!r} is not allowed. Pass {allowed}.")
        return found

    return parse


def whole(low: int, high: int | None = None) -> Parser:
    """A whole number from ``low`` to ``high``; text and floats such as 32.0 count."""
    allowed = f"a whole number of at least {low}"
    allowed += "" if high is None else f" and at most {high}"

    def parse(name: str, value: Any) -> int:
        found = as_whole(value)
        if found is None or found < low or (high is not None and found > high):
            raise ConfigError(f"{name}={value!r} is not allowed. Pass {allowed}.")
        return found

    return parse


def as_whole(value: Any) -> int | None:
    """The whole number that ``value`` is or spells, to its last figure, or None."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip())
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = as_number(value)
    return int(found) if found is not None and found == int(found) else None


def as_number(value: Any) -> float | None:
    """The finite number that ``value`` is or spells, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
