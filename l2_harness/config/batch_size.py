"""``batch_size``, as lm-eval takes it."""

from __future__ import annotations

from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import as_number, as_whole

#: More responses side by side than any memory holds.
_MOST = 2**31


def batch_size(name: str, value: Any) -> int | str:
    """A whole number of at least 1; or ``auto``, or ``auto:N``, found anew N times.

    Raises:
        ConfigError: it is neither.
    """
    word, colon, times = str(value).strip().partition(":")
    if word == "auto" and (not colon or (as_number(times) or 0) > 0):
        return word + colon + times
    found = as_whole(value)
    if found is None or not 1 <= found < _MOST:
        raise ConfigError(
            f"{name}={value!r} is not allowed. Pass a whole number of at least 1, or auto.", name
        )
    return found
