"""Settings as a page shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from l2_harness.findings.numbers import MISSING


def setting_texts(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) pairs in order; a mapping in a setting gives a pair for each of its own."""
    result: list[tuple[str, str]] = []
    for name, value in settings.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            result += setting_texts(value, f"{full}.")
        else:
            result.append((full, _text(value)))
    return result


def _text(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        plain = all(isinstance(item, str | int | float) for item in value)
        return ", ".join(map(str, value)) if plain else json.dumps(value, ensure_ascii=False)
    return str(value)
