"""The section ``course``: how norms go over a response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.labels import section_of
from l2_harness.analysis.norms.study import Study
from l2_harness.findings import least, panels
from l2_harness.findings.claims import groups
from l2_harness.findings.figures import new_figure
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import share, sides

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LINES = 4


def course_section(study: Study, command: str) -> Section:
    """Norms by relative position, and row by row at the start."""
    layers = study.measured.layers
    course, questions = study.measured.course, len(study.resamples.labels)
    trend, whole, first = (
        least.kept(frame, questions, ("ratio", "norm"), values=False)
        for frame in (
            course.trend(layers),
            course.table(layers),
            course.first_table(layers),
        )
    )
    return section_of(
        *(study, command, "course", "Norms over the course of a response"),
        findings=[trend_finding(trend, questions), *first_finding(first)],
        caveats=[
            "By absolute row, later rows are of longer responses only.",
            "What is written changes over a response too (the opening tag, the answer's form), so "
            "a course is not yet one of reasoning: see the kinds of token.",
        ],
        tables=[
            Table(
                "trend",
                "The last 30 % of the response over its first 30 %",
                trend,
                "Ratio of the mean norms, with 95 % question-clustered intervals.",
            ),
            Table(
                "by_position",
                "Norms by relative position",
                whole,
                "Each response counts once in a bin; ratio is over the layer's mean.",
                {"start": "share of the response where the bin starts"},
            ),
            Table(
                "first_rows",
                "Norms of the first rows",
                first,
                "Row 0 is the pass at the end of the prompt, which wrote the first token.",
            ),
        ],
        figures=[_figure(study, whole, first)],
    )


def trend_finding(trend: pd.DataFrame, questions: int) -> str:
    """At which layers norms rise and fall over a response."""
    if not least.enough(questions):
        return f"Whether norms rise or fall over a response: {least.reason(questions)}."
    where = sides(groups(trend, "layer", "ratio", 1.0), "than in its first 30 %")
    return f"In the last 30 % of a response norms are {where}."


def first_finding(first: pd.DataFrame) -> list[str]:
    """At how many layers the very first row is above the mean of those that follow."""
    row = first[first["row"] == 0]
    if not row["ratio_low"].notna().any():
        return []
    above, below = int((row["ratio_low"] > 1).sum()), int((row["ratio_high"] < 1).sum())
    return [
        f"The very first row's norms are above those of the first rows at "
        f"{share(above, len(row), 'layer')} and below at {below or 'none'} (each by its own "
        "interval)."
    ]


def _figure(study: Study, whole: pd.DataFrame, first: pd.DataFrame) -> Figure:
    layers = list(study.measured.layers)
    drawing, axes = new_figure(f"Norms over a response: {study.options.task}", 3, width=4.2)
    _map(axes[0], whole, layers)
    chosen = sorted(
        {layers[i] for i in np.linspace(0, len(layers) - 1, _LINES).round().astype(int)}
    )
    middle = whole.assign(middle=(whole["start"] + whole["end"]) / 2)
    for index, layer in enumerate(chosen):
        look, label = panels.look_of(index), f"layer {layer}"
        for panel, frame, x in ((axes[1], middle, "middle"), (axes[2], first, "row")):
            panels.line(panel, frame[frame["layer"] == layer], x, "ratio", look, label)
    for panel, name in ((axes[1], "relative position"), (axes[2], "row")):
        panels.level(panel, 1)
        panel.set_xlabel(name)
        panel.set_ylabel("norm over the layer's mean")
    panels.legend(drawing, axes[1:])
    return Figure(
        name="course",
        title="Norms over a response",
        caption="Left all layers by relative position; in the middle some of them with 95 % bands; "
        "right the first rows, over the mean of these rows.",
        alt="A heat map of norms by layer and position, and lines of some layers.",
        drawing=drawing,
    )


def _map(panel: Axes, whole: pd.DataFrame, layers: list[int]) -> None:
    grid = whole.pivot(index="layer", columns="start", values="ratio").loc[layers].to_numpy()
    reach = max(float(np.nanmax(np.abs(np.log(grid)))), 1e-6)
    look = {"cmap": "PuOr_r", "vmin": -reach, "vmax": reach, "origin": "lower"}
    image = panels.heat_map(panel, np.log(grid), layers, [""] * grid.shape[1], **look)
    panel.set_xticks([-0.5, grid.shape[1] / 2 - 0.5, grid.shape[1] - 0.5], ["0", "½", "1"])
    panel.set_xlabel("relative position")
    panel.set_ylabel("layer")
    bar = panel.figure.colorbar(image, ax=panel, label="norm over the layer's mean")
    ticks = np.array([-reach, 0, reach])
    bar.set_ticks(list(ticks), labels=[f"{value:.2f}" for value in np.exp(ticks)])
