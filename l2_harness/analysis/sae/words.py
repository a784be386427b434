"""Figures in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """``0.52 (0.48 to 0.55)``; what isn't there is named."""
    import math

    if not math.isfinite(value):
        return "not defined"
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{value:.{digits}f} (no interval)"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def of_row(row: Any, name: str, digits: int = 2) -> str:
    """:func:`interval` of the columns ``name``, ``name_low`` and ``name_high`` of a row."""
    return interval(row[name], row[f"{name}_low"], row[f"{name}_high"], digits)


def span(values: Sequence[float], digits: int = 2) -> str:
    """``0.12 to 0.40``, or the value where there is one."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def layers_text(layers: Sequence[int]) -> str:
    """``layers 0-11``, ``layers 3+7``, ``layer 4``."""
    first, last = min(layers), max(layers)
    if len(layers) == 1:
        return f"layer {first}"
    if list(layers) == list(range(first, last + 1)):
        return f"layers {first}-{last}"
    return f"layers {'+'.join(map(str, layers))}"


def with_words(title: str, settings: Mapping[str, Any]) -> str:
    """A title that says when detectors of words were left out."""
    left_out = settings.get("without_words")
    return f"{title}, detectors of words left out" if left_out else title
