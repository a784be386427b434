"""The figures: differences with their intervals, and dose curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from l2_harness.compare.causal.analysis import Analysis
from l2_harness.compare.causal.arms import Where
from l2_harness.compare.causal.dose import DoseCurve
from l2_harness.compare.causal.effects import Effect
from l2_harness.findings import least, panels
from l2_harness.findings.figures import BLACK, BLUE, GREEN, GREY, ORANGE, new_grid
from l2_harness.findings.numbers import fixed
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LOOKS: dict[Where, tuple[Look, str]] = {
    "peaks": (Look(BLUE, "o"), "peaks"),
    "random": (Look(ORANGE, "s"), "random states, no peaks"),
    "shuffled": (Look(GREEN, "^"), "other layers at the peaks' rows"),
}
_WORDS = {"scale": "scaled to {:g}", "angle": "direction", "norm": "norm"}


def causal_figures(analyses: Sequence[Analysis]) -> list[Figure]:
    """Of the tasks in which an arm differs from plain."""
    bars = {a: [e for e in a.effects if e.family == "plain"] for a in analyses}
    # where no arm differs from plain, as where plain is never right, there is nothing to see
    bars = {a: effects for a, effects in bars.items() if any(e.points.value for e in effects)}
    found = [_differences(bars)] if bars else []
    curved = [a for a in bars if a.curves]
    return [*found, _doses(curved)] if curved else found


def _differences(bars: dict[Analysis, list[Effect]]) -> Figure:
    """A panel a task, a bar an arm: its accuracy less plain's, with intervals."""
    from matplotlib.patches import Patch

    longest = max(map(len, bars.values()))
    height = 1.6 + 0.28 * longest
    drawing, axes = new_grid("What each edit costs", len(bars), 2, width=6, height=height)
    for panel, (a, effects) in zip(axes, bars.items(), strict=True):
        _bars(panel, a, effects)
    places = {effect.run.arm.where for effects in bars.values() for effect in effects}
    handles = [Patch(color=look.color, label=n) for w, (look, n) in _LOOKS.items() if w in places]
    pale = Patch(color=GREY, alpha=0.3, label="pale: can't be claimed")
    panels.legend(drawing, [], [*handles, pale])
    every = [effect for effects in bars.values() for effect in effects]
    lowest = min(every, key=lambda effect: effect.points.value)
    return Figure(
        "differences",
        "What each edit costs",
        "Accuracy less that of the plain arm, in points, with 95 % intervals, corrected for "
        "the number of arms; pale bars can't be claimed. Peaks matter more than other states only "
        "where their bar reaches further down than those of the controls beside it.",
        f"Bars of arms; the lowest is {lowest.run.arm.name} at {fixed(lowest.points.value, 1)} "
        "points.",
        drawing,
    )


def _bars(panel: Axes, a: Analysis, effects: Sequence[Effect]) -> None:
    for place, effect in enumerate(effects):
        assert effect.run.arm.where is not None
        look, _ = _LOOKS[effect.run.arm.where]
        points = effect.points
        pale = 1.0 if a.claimed(effect) else 0.3
        panel.barh(place, points.value, color=look.color, alpha=pale, height=0.7)
        if points.known and least.enough(a.questions):
            ends = ([place], [points.value], [points.low], [points.high])
            panels.whiskers(panel, *ends, BLACK, across=True)
    panel.axvline(0, color=GREY, linewidth=1)
    panel.margins(x=0.05, y=0.01)
    labels = [
        f"{arm.where}, {_WORDS[arm.mode].format(arm.factor)}"
        for arm in (e.run.arm for e in effects)
    ]
    panel.set_yticks(range(len(effects)), labels, fontsize=8)
    panel.invert_yaxis()
    panel.set_xlabel("accuracy less plain, points")
    panel.set_title(a.runs.task, fontsize=10)


def _doses(analyses: Sequence[Analysis]) -> Figure:
    """A panel a task, a line a kind of states: accuracy less plain's by what is kept."""
    title = "Accuracy by how much of a state is kept"
    drawing, axes = new_grid(title, len(analyses), 2, width=5.5, height=4)
    for panel, a in zip(axes, analyses, strict=True):
        for place, curve in enumerate(a.curves):
            look, label = _LOOKS[curve.where]
            rows = least.kept(curve_frame(curve), a.questions, ("points",), values=False)
            shift = 0.008 * (place - (len(a.curves) - 1) / 2)
            panels.line(panel, rows, "kept", "points", look, label, bars=True, shift=shift)
        panels.level(panel, 0)
        panel.invert_xaxis()
        panel.set_xlabel("share of the state that is kept")
        panel.set_ylabel("accuracy less plain, points")
        panel.set_title(a.runs.task, fontsize=10)
    panels.legend(drawing, axes)
    return Figure(
        "dose_curves",
        "Dose curves",
        "The less of the edited states is kept, the further to the right. Bars are 95 % intervals.",
        "Lines of accuracy over the share that is kept, one for each kind of states.",
        drawing,
    )


def curve_frame(curve: DoseCurve) -> pd.DataFrame:
    """A row a dose: ``kept`` and ``points`` with its interval."""
    import pandas as pd

    ends = [(p.value, p.low, p.high) for p in curve.points]
    frame = pd.DataFrame(ends, columns=["points", "points_low", "points_high"])
    frame.insert(0, "kept", curve.factors)
    return frame
