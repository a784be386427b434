"""The demo's figures: norms and correlations per layer, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.findings.figures import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: From this ratio of the largest to the smallest mean on, a linear axis hides the small ones.
_LOG_FROM = 5.0


def plot_profile(profile: pd.DataFrame, path: Path, title: str) -> Path:
    """Mean norms of both arms per layer, and their ratio beside it.

    Args:
        profile: of :func:`~l2_harness.analysis.norms.profiles.layer_profile`.
        path: the PNG to write.
        title: over both panels.
    """
    figure, (means, ratio) = new_figure(title, 2)
    _line(means, profile, "thinking", BLUE, "o", "thinking")
    _line(means, profile, "direct", ORANGE, "s", "direct")
    values = profile[["thinking", "direct"]].to_numpy()
    if values.max() > _LOG_FROM * values.min() > 0:
        means.set_yscale("log")
    means.set_ylabel("mean ℓ2 norm of the hidden state")
    means.set_title("same prompts, two ways to answer", fontsize=10)
    _line(ratio, profile, "ratio", GREEN, "o", "thinking / direct")
    ratio.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    ratio.set_ylabel("ratio of mean norms, thinking / direct")
    ratio.set_title("ratio, with 95 % interval", fontsize=10)
    for axes in (means, ratio):
        _mark_last(axes, profile["layer"])
        axes.legend(fontsize=8, frameon=False)
    return save_figure(figure, path.with_suffix(""), ["png"])[0]


def plot_correlations(
    correlations: pd.DataFrame, path: Path, title: str, late: Sequence[int]
) -> Path:
    """Rank correlation of norm with correctness per layer, raw and controlled for length.

    Args:
        correlations: a row a layer: ``layer``, ``raw`` and ``controlled``, each with ``_low``
            and ``_high``; nan leaves a gap.
        path: the PNG to write.
        title: over the panel.
        late: the layers that are monitored by default, to be shaded.
    """
    figure, (axes,) = new_figure(title)
    if len(late):
        axes.axvspan(
            min(late) - 0.5, max(late) + 0.5, color=GREY, alpha=0.2, label="late layers (default)"
        )
    # Side by side, so that one interval doesn't hide the other.
    _line(axes, correlations, "raw", BLUE, "o", "raw", offset=-0.08)
    _line(
        axes, correlations, "controlled", ORANGE, "s", "controlled for response length", offset=0.08
    )
    axes.axhline(0.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_ylabel("Spearman correlation with correctness")
    axes.set_title(
        "all kinds of problem pooled; 95 % intervals, not corrected for layers", fontsize=10
    )
    _mark_last(axes, correlations["layer"])
    axes.legend(fontsize=8, frameon=False)
    return save_figure(figure, path.with_suffix(""), ["png"])[0]


def _line(
    axes: Axes,
    table: pd.DataFrame,
    name: str,
    color: str,
    marker: str,
    label: str,
    offset: float = 0.0,
) -> None:
    value = table[name].to_numpy(dtype=float)
    low = table[f"{name}_low"].to_numpy(dtype=float)
    high = table[f"{name}_high"].to_numpy(dtype=float)
    # A percentile interval may miss its own value, and errorbar refuses a negative length.
    reach = np.clip(np.nan_to_num([value - low, high - value]), 0, None)
    axes.errorbar(
        table["layer"].to_numpy() + offset,
        value,
        yerr=reach,
        color=color,
        marker=marker,
        markersize=4,
        linewidth=1.5,
        elinewidth=1,
        capsize=2,
        label=label,
    )


def _mark_last(axes: Axes, layers: pd.Series) -> None:
    from matplotlib.ticker import MaxNLocator

    last = int(layers.max())
    axes.axvline(last, color=GREY, linewidth=1, linestyle=":", label=f"last layer ({last})")
    axes.set_xlabel("decoder layer, from 0")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
