"""Figures in sentences: counts, intervals, small p values, runs of layers, what is larger where.

Every phrase holds for one of a thing as for ten thousand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from l2_harness.findings.numbers import between, fixed, p_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Valued(Protocol):
    """A value with its interval, such as :class:`~l2_harness.statistics.estimate.Estimate`."""

    @property
    def value(self) -> float:
        """The figure; nan where it isn't known."""

    @property
    def low(self) -> float:
        """Of its interval."""

    @property
    def high(self) -> float:
        """Of its interval."""


def count(n: int, noun: str, plural: str | None = None) -> str:
    """``1 question``, ``2 questions``, ``10,000 questions``, ``no questions``."""
    shown = "no" if not n else f"{n:,}" if n >= 10_000 else str(n)
    return f"{shown} {noun if n == 1 else plural or f'{noun}s'}"


def share(found: int, of: int, noun: str) -> str:
    """``3 of 12 layers``, ``none of 12 layers``, ``1 of 1 layer``, ``no layers`` of none."""
    return f"{found or 'none'} of {count(of, noun)}" if of else count(0, noun)


def signed(value: float, decimals: int = 2) -> str:
    """``+0.31``, ``−0.14``, ``0.00``."""
    text = fixed(value, decimals)
    return f"+{text}" if value > 0 and float(text.replace(",", "") or 0) else text


def interval(
    value: float, low: float, high: float, decimals: int = 2, *, unit: str = "", sign: bool = False
) -> str:
    """``0.31 (0.25 to 0.36)``, ``+3.1 points (+1.0 to +5.2)``, ``0.31 (no interval)``."""
    shown = signed if sign else fixed
    if not math.isfinite(value):
        return "not known"
    text = f"{shown(value, decimals)}{f' {unit}' if unit else ''}"
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{text} (no interval)"
    return f"{text} ({between(low, high, decimals, shown)})"


def estimate(found: Valued, scale: float = 1.0, decimals: int = 2, **how: Any) -> str:
    """:func:`interval` of an estimate; ``scale`` multiplies all of it, such as 100 for percent."""
    return interval(scale * found.value, scale * found.low, scale * found.high, decimals, **how)


def of_row(row: Mapping[str, Any] | pd.Series, name: str = "value", **how: Any) -> str:
    """:func:`interval` of the columns ``name``, ``name_low`` and ``name_high`` of a table's row."""
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return interval(value, low, high, **how)


def p_value(p: float) -> str:
    """``p < 0.001``, ``p = 0.032``, ``p not known``."""
    if not math.isfinite(p):
        return "p not known"
    return "p < 0.001" if p < 0.001 else f"p = {p_text(p)}"


def span(values: Iterable[float], decimals: int = 2) -> str:
    """``0.12 to 0.40``, one value where all look alike, ``not known`` of none."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "not known"
    low, high = (fixed(end, decimals) for end in (min(known), max(known)))
    return low if low == high else f"{low} to {high}"


def listed(words: Iterable[object], most: int = 0) -> str:
    """``a, b and c``; from more than ``most`` on ``a, b and 4 more``."""
    texts = [str(word) for word in words]
    if 0 < most < len(texts):
        texts = [*texts[:most], f"{len(texts) - most} more"]
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def layers(of: Iterable[int] | np.ndarray) -> str:
    """``layer 8``, or ``layers 0 to 4 and 7``, of ascending layers; ``no layer``."""
    runs: list[list[int]] = []
    for layer in (int(layer) for layer in of):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    if not runs:
        return "no layer"
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    alone = len(runs) == 1 and len(runs[0]) == 1
    return f"{'layer' if alone else 'layers'} {listed(texts)}"


def sides(where: Sequence[Sequence[int] | np.ndarray], than: str) -> str:
    """``larger than … at layers 3 to 5, smaller at layer 8; no difference is shown at layer 0``.

    Args:
        where: the layers that are larger, that are smaller, and the others.
        than: what.
    """
    larger, smaller, neither = where
    parts = [f"larger {than} at {layers(larger)}"] if len(larger) else []
    if len(smaller):
        parts.append(f"smaller {'' if parts else f'{than} '}at {layers(smaller)}")
    if not parts:
        return f"not shown to be larger or smaller {than} at any layer"
    rest = f"; no difference is shown at {layers(neither)}" if len(neither) else ""
    return listed(parts) + rest


def capital(text: str) -> str:
    """With a capital letter, the rest as it is."""
    return text[:1].upper() + text[1:]
