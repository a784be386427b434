"""The figures: differences with their intervals, and dose curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from l2_harness.compare.causal.arms import Where
from l2_harness.compare.causal.dose import DoseCurve
from l2_harness.compare.causal.effects import Effect
from l2_harness.findings.figures import BLACK, BLUE, GREEN, GREY, ORANGE, new_figure
from l2_harness.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS: dict[Where, tuple[str, str, str]] = {
    "peaks": (BLUE, "o", "peaks"),
    "random": (ORANGE, "s", "random states, no peaks"),
    "shuffled": (GREEN, "^", "other layers at the peaks' rows"),
}


def difference_bars(tasks: Sequence[tuple[str, Sequence[Effect]]], title: str) -> Figure:
    """A panel a task, a bar an arm: its accuracy less plain's, with intervals.

    A full bar can be claimed (corrected p), a pale one can't.
    """
    longest = max(len(effects) for _, effects in tasks)
    figure, panels = new_figure(title, len(tasks), width=6, height=1.6 + 0.28 * longest)
    for axes, (task, effects) in zip(panels, tasks, strict=True):
        _bars(axes, effects)
        if task:
            axes.set_title(task, fontsize=10)
    _legend(figure, panels[0], {e.run.arm.where for _, effects in tasks for e in effects})
    return figure


def _bars(axes: Axes, effects: Sequence[Effect]) -> None:
    for place, effect in enumerate(effects):
        assert effect.run.arm.where is not None
        color, _, _ = _LOOKS[effect.run.arm.where]
        value = effect.points.value
        axes.barh(place, value, color=color, alpha=1.0 if effect.claimed else 0.3, height=0.7)
        if effect.points.known:
            axes.errorbar(value, place, xerr=_reach(effect.points), color=BLACK, capsize=2, lw=1)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.margins(x=0.05, y=0.01)
    labels = [_label(effect) for effect in effects]
    axes.set_yticks(range(len(effects)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("accuracy less plain, points")


def _label(effect: Effect) -> str:
    arm = effect.run.arm
    what = {"scale": f"scaled to {arm.factor:g}", "angle": "direction", "norm": "norm"}[arm.mode]
    return f"{arm.where}, {what}"


def dose_lines(curves: Sequence[DoseCurve], title: str) -> Figure:
    """A panel a task, a line a kind of states: accuracy less plain's by what is kept."""
    tasks = list(dict.fromkeys(curve.task for curve in curves))
    figure, panels = new_figure(title, len(tasks), width=5.5, height=4)
    for axes, task in zip(panels, tasks, strict=True):
        own = [curve for curve in curves if curve.task == task]
        for place, curve in enumerate(own):
            _line(axes, curve, 0.008 * (place - (len(own) - 1) / 2))
        axes.axhline(0, color=GREY, linewidth=1)
        axes.invert_xaxis()
        axes.set_xlabel("share of the state that is kept")
        axes.set_ylabel("accuracy less plain, points")
        if task:
            axes.set_title(task, fontsize=10)
    panels[0].legend(fontsize=8, frameon=False)
    return figure


def _line(axes: Axes, curve: DoseCurve, shift: float) -> None:
    """``shift`` keeps intervals at the same dose apart."""
    color, marker, label = _LOOKS[curve.where]
    x = [factor + shift for factor in curve.factors]
    axes.errorbar(
        x,
        [p.value for p in curve.points],
        yerr=[list(side) for side in zip(*(_ends(p) for p in curve.points), strict=True)],
        color=color,
        marker=marker,
        markersize=5,
        capsize=2,
        label=label,
    )


def _ends(point: Estimate) -> tuple[float, float]:
    if not point.known:
        return 0.0, 0.0
    return max(0.0, point.value - point.low), max(0.0, point.high - point.value)


def _reach(point: Estimate) -> list[list[float]]:
    low, high = _ends(point)
    return [[low], [high]]


def _legend(figure: Figure, axes: Axes, places: set[Where | None]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=c, label=name) for w, (c, _, name) in _LOOKS.items() if w in places]
    handles.append(Patch(color=GREY, alpha=0.3, label="pale: can't be claimed"))
    figure.legend(handles=handles, fontsize=8, frameon=False, loc="outside lower center", ncols=2)
