"""The figure of a comparison: accuracy over the number of samples, a line a selector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from l2_harness.analysis.selectors.comparison import Comparison, SelectorRow
from l2_harness.findings.figures import COLORS, GREY, MARKERS, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Panels, so that two dozen lines can be told apart; the first four are in each.
_COMMON = ("random", "majority", "mean_logprob", "oracle")


def plot_curves(comparison: Comparison, path: Path, title: str) -> Path:
    """Write the curves as PNG; the bands are 95 % intervals of majority and the oracle."""
    figure, panels = new_figure(title, 3, width=4.7, height=5)
    own = [row for row in comparison.rows if row.selector.name not in _COMMON]
    kinds = {
        "ℓ2 scores": [r for r in own if r.selector.name.startswith("l2_")],
        "confidence": [r for r in own if _is_confidence(r)],
    }
    kinds["others"] = [r for r in own if not any(r in rows for rows in kinds.values())]
    for axes, (name, rows) in zip(panels, kinds.items(), strict=True):
        _common(axes, comparison)
        for i, row in enumerate(rows):
            color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
            axes.plot(
                *_points(row), label=row.selector.name, markersize=4, color=color, marker=marker
            )
        _finish(axes, name, comparison)
    panels[0].set_ylabel("expected accuracy, %")
    for axes in panels[1:]:
        axes.sharey(panels[0])
    return save_figure(figure, path.with_suffix(""), ["png"])[0]


def _is_confidence(row: SelectorRow) -> bool:
    name = row.selector.name
    return name.startswith(("deepconf", "self_certainty")) or name in (
        *("perplexity", "mean_entropy", "confidence_vote"),
    )


def _common(axes: Axes, comparison: Comparison) -> None:
    styles = {"random": ":", "majority": "--", "mean_logprob": "-.", "oracle": "-"}
    for row in comparison.rows:
        name = row.selector.name
        if name not in _COMMON:
            continue
        ks, values = _points(row)
        axes.plot(ks, values, styles[name], color=GREY, linewidth=1.5, label=name)
        if name in ("majority", "oracle"):
            low, high = (
                [100 * getattr(f, end) for f in row.curve.values()] for end in ("low", "high")
            )
            axes.fill_between(ks, low, high, color=GREY, alpha=0.15, linewidth=0)


def _points(row: SelectorRow) -> tuple[list[int], list[float]]:
    return list(row.curve), [100 * figure.value for figure in row.curve.values()]


def _finish(axes: Axes, name: str, comparison: Comparison) -> None:
    ks = list(comparison.rows[0].curve)
    if len(ks) > 1:
        axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("samples")
    axes.set_title(name, fontsize=10)
    axes.legend(fontsize=7, frameon=False, loc="upper left")
