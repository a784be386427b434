"""How many digits of a number a report shows. The files beside it have them all.

A column has one number of decimals, so that its figures can be compared down the page. A value
with an interval gets two significant digits of the interval's half width: more would be noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

MISSING = "–"
_MOST_DECIMALS = 6
#: What is smaller is what sums of floats leave over.
_NOTHING = 1e-12
#: Whole numbers in columns of these names are labels, so they get no separators.
_LABELS = frozenset({"seed", "id", "doc_id", "year", "token", "feature"})


def number_texts(values: Sequence[float], name: str = "") -> list[str]:
    """The numbers of a column as text.

    Args:
        values: of any sign; NaN where one is missing.
        name: the column's. ``p`` and what begins or ends with it are p-values; ``seed`` and the
            like are labels.
    """
    if is_p_value(name):
        return [p_text(value) for value in values]
    shown = _rule(values, name)
    return [shown(value) for value in values]


def interval_texts(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> list[tuple[str, str]]:
    """``("0.842", "(0.801 to 0.880)")`` of each value and its interval; "" where it has none."""
    widths = [(high - low) / 2 for low, high in zip(lows, highs, strict=True)]
    typical = _median([width for width in widths if math.isfinite(width) and width > _NOTHING])
    if typical is None:
        alike = _rule(values, "")
        shown, ends = alike, lambda low, high: f"{alike(low)} to {alike(high)}"
    else:
        decimals = _decimals(typical, 2)
        shown, ends = partial(fixed, decimals=decimals), partial(between, decimals=decimals)
    return [
        (shown(value), "" if math.isnan(low) and math.isnan(high) else f"({ends(low, high)})")
        for value, low, high in zip(values, lows, highs, strict=True)
    ]


def is_p_value(name: str) -> bool:
    """Whether a column's name says that it holds p-values."""
    parts = name.lower().replace("-", "_").split("_")
    return "p" in (parts[0], parts[-1]) or parts[-2:] in (["p", "holm"], ["p", "corrected"])


def _rule(values: Sequence[float], name: str) -> Callable[[float], str]:
    """What writes each of some numbers alike."""
    finite = [value for value in values if math.isfinite(value) and abs(value) > _NOTHING]
    if all(value == int(value) for value in finite):
        label = name.lower() in _LABELS
        return lambda value: _whole(value, label)
    typical = _median([abs(value) for value in finite])
    decimals = _decimals(typical or 1.0, 3)
    return partial(fixed, decimals=decimals)


def _decimals(magnitude: float, significant: int) -> int:
    """The decimals that show so many significant digits of a number of this size."""
    wanted = significant - 1 - math.floor(math.log10(magnitude))
    return min(max(wanted, 0), _MOST_DECIMALS)


def _whole(value: float, label: bool) -> str:
    if not math.isfinite(value):
        return _not_finite(value)
    # Four digits read well as they are.
    return _signed(f"{value:.0f}" if label or abs(value) < 10_000 else f"{value:,.0f}")


def fixed(value: float, decimals: int) -> str:
    """So many decimals, a true minus, and none before what rounds to nothing."""
    if not math.isfinite(value):
        return _not_finite(value)
    if _NOTHING < abs(value) < 0.5 * 10**-decimals and decimals == _MOST_DECIMALS:
        return _scientific(value)
    if abs(value) >= 1e9:
        return _scientific(value)
    text = f"{value:,.{decimals}f}" if abs(value) >= 10_000 else f"{value:.{decimals}f}"
    return _signed(text if float(text.replace(",", "")) else text.lstrip("-"))


def between(low: float, high: float, decimals: int, shown: Callable[..., str] = fixed) -> str:
    """``0.25 to 0.36``; an end that isn't 0 doesn't read as 0 where the interval leaves out 0.

    Args:
        low: its lower end.
        high: its upper end.
        decimals: of both, but for such an end, which gets one significant digit.
        shown: what writes a number with so many decimals.
    """
    places = (_told_apart(end, decimals) if low * high > 0 else decimals for end in (low, high))
    return " to ".join(shown(end, own) for end, own in zip((low, high), places, strict=True))


def _told_apart(value: float, decimals: int) -> int:
    vanishes = abs(value) < 0.5 * 10**-decimals
    return _decimals(abs(value), 1) if vanishes and abs(value) > _NOTHING else decimals


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return _signed(f"{mantissa}e{int(exponent)}")


def p_text(value: float) -> str:
    """Three places, and never 0."""
    if not math.isfinite(value):
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _not_finite(value: float) -> str:
    return MISSING if math.isnan(value) else _signed(f"{'-' if value < 0 else ''}∞")


def _signed(text: str) -> str:
    """With a minus sign that is as wide as a digit."""
    return text.replace("-", "−")


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[(len(values) - 1) // 2] if values else None
