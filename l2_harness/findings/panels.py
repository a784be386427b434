"""Panels that figures share: lines with their intervals, axes of layers, heat maps, legends.

A mark is filled where an effect is claimed after correction and hollow where it isn't, so that
bars, which are each figure's own, stand beside what the text claims.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2_harness.findings.figures import COLORS, GREY, MARKERS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

#: How a caption says what filled marks are.
CLAIMED = "Filled marks are claimed after correction, hollow ones are not"
#: Labels that fit under a panel without running into each other.
_MOST_TICKS = 8
_LETTERS_AN_INCH = 17
#: Inches.
_LEGEND_ROW = 0.17


class Look(NamedTuple):
    """How a line is drawn."""

    color: str
    marker: str = "o"
    style: str = "-"


def look_of(number: int) -> Look:
    """The looks of as many lines as there may be, told apart by colour and marker."""
    return Look(COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)])


def line(
    panel: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    look: Look,
    label: str,
    *,
    claimed: ArrayLike | None = None,
    bars: bool = False,
    shift: float = 0.0,
) -> None:
    """A line with the band, or the bars, of its interval; nothing where no value is known.

    Args:
        panel: to draw on.
        rows: with the columns ``x``, ``y`` and, for the interval, ``y_low`` and ``y_high``.
        x: column.
        y: column.
        look: of the line.
        label: in the legend.
        claimed: (rows,) which marks are filled; all by default.
        bars: in place of a band.
        shift: to the right, which keeps bars at one place apart.
    """
    place, value = rows[x].to_numpy(float) + shift, rows[y].to_numpy(float)
    if not np.isfinite(value).any():
        return
    filled = np.ones(len(value), bool) if claimed is None else np.asarray(claimed, bool)
    drawn: dict[str, Any] = {"color": look.color, "marker": look.marker, "markersize": 4}
    panel.plot(place, value, linestyle=look.style, mfc="white", **drawn)
    panel.plot(place[filled], value[filled], linestyle="", **drawn)
    panel.plot([], [], linestyle=look.style, label=label, **drawn)
    if f"{y}_low" not in rows:
        return
    low, high = rows[f"{y}_low"].to_numpy(float), rows[f"{y}_high"].to_numpy(float)
    if bars:
        whiskers(panel, place, value, low, high, look.color)
    else:
        panel.fill_between(place, low, high, color=look.color, alpha=0.2, linewidth=0)


def whiskers(
    panel: Axes,
    place: ArrayLike,
    value: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    color: str,
    *,
    across: bool = False,
) -> None:
    """Bars of intervals, which may be missing or miss their own value; ``across`` lays them."""
    value = np.asarray(value, float)
    reach = np.clip(np.nan_to_num([value - low, np.asarray(high, float) - value]), 0, None)
    style: dict[str, Any] = {"fmt": "none", "ecolor": color, "elinewidth": 1, "capsize": 2}
    if across:
        panel.errorbar(value, place, xerr=reach, **style)
    else:
        panel.errorbar(place, value, yerr=reach, **style)


def scattered(
    panel: Axes, place: pd.Series, value: pd.Series, look: Look, label: str, shift: float
) -> None:
    """A point a row beside its place, spread a little so that points don't hide each other."""
    spread = np.random.default_rng(0).uniform(-0.1, 0.1, len(place))
    panel.scatter(
        *(place + shift + spread, value),
        s=12,
        color=look.color,
        marker=look.marker,
        alpha=0.7,
        label=label,
    )


def level(panel: Axes, at: float) -> None:
    """A thin line across, such as that of no effect."""
    panel.axhline(at, color=GREY, linewidth=0.8, linestyle="--")


def layer_axis(panel: Axes, label: str = "layer") -> None:
    """Whole numbers below, few enough to be read."""
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator(nbins=_MOST_TICKS, integer=True, min_n_ticks=1))
    panel.set_xlabel(label)


def heat_map(
    panel: Axes,
    values: np.ndarray,
    rows: Sequence[object],
    columns: Sequence[object],
    **how: Any,
) -> Any:
    """An image of values (rows, columns) with as many labels as fit; for a colour bar."""
    image = panel.imshow(values, aspect="auto", **how)
    across, down = _thinned(columns, _MOST_TICKS), _thinned(rows, 2 * _MOST_TICKS)
    panel.set_xticks(across, [str(columns[i]) for i in across], fontsize=8)
    panel.set_yticks(down, [str(rows[i]) for i in down], fontsize=8)
    return image


def _thinned(labels: Sequence[object], most: int) -> list[int]:
    step = -(-len(labels) // most) if labels else 1
    return list(range(0, len(labels), step))


def legend(figure: Figure, panels: Sequence[Axes], handles: Sequence[Any] = ()) -> None:
    """One legend below all panels, each label once, in as many columns as the figure is wide.

    The figure grows by it, so that panels keep their size.
    """
    named = {str(handle.get_label()): handle for handle in handles}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if not named:
        return
    widest = max(map(len, named)) + 10
    columns = min(max(1, int(figure.get_figwidth() * _LETTERS_AN_INCH / widest)), len(named))
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW * -(-len(named) // columns))
    figure.legend(
        list(named.values()),
        list(named),
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        frameon=False,
    )


def own_legend(panel: Axes, columns: int = 2) -> None:
    """A panel's own, below it, where its lines differ from its neighbours'."""
    panel.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns, fontsize=8, frameon=False
    )
