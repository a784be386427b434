"""The section ``course``: how norms go over a response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.norm_figures import banded
from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.words import LEVEL, ORDERS, layers_of, plain_interval, settings
from l2_harness.findings.figures import COLORS, GREY, MARKERS, new_figure
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd

_LINES = 4


def course_section(study: Study, command: str) -> Section:
    """Norms by relative position, and row by row at the start."""
    layers, course = study.measured.layers, study.measured.course
    whole, first = course.table(layers), course.first_table(layers)
    trend = course.trend(layers)
    return Section(
        name="course",
        title=f"Norms over the course of a response: {study.subject}",
        order=ORDERS["course"],
        findings=_findings(study, trend, first),
        caveats=[
            "By absolute row, later rows are of longer responses only.",
            "What is written changes over a response too (the opening tag, the answer's form), so "
            "a course is not yet one of reasoning: see the kinds of token.",
        ],
        settings=settings(study),
        command=command,
        tables=[
            Table(
                name="trend",
                title="The last 30 % of the response over its first 30 %",
                frame=trend,
                caption="Ratio of the mean norms, with 95 % question-clustered intervals.",
            ),
            Table(
                name="by_position",
                title="Norms by relative position",
                frame=whole,
                caption="Each response counts once in a bin; ratio is over the layer's mean.",
                meanings={"start": "share of the response where the bin starts"},
            ),
            Table(
                name="first_rows",
                title="Norms of the first rows",
                frame=first,
                caption="Row 0 is the pass at the end of the prompt, which wrote the first token.",
            ),
        ],
        figures=[_figure(study, whole, first)],
    )


def _findings(study: Study, trend: pd.DataFrame, first: pd.DataFrame) -> list[str]:
    claimed = trend["p_holm"] < LEVEL
    up, down = claimed & (trend["ratio_low"] > 1), claimed & (trend["ratio_high"] < 1)
    parts = []
    for name, where in (("larger", up), ("smaller", down)):
        rows = trend[where]
        if len(rows):
            most = rows.loc[(rows["ratio"] - 1).abs().idxmax()]
            parts.append(
                f"{name} in the last 30 % of a response than in its first 30 % at "
                f"{layers_of(list(rows['layer']))} (most at layer {int(most['layer'])}: "
                f"{plain_interval(most, 'ratio')} times)"
            )
    neither = list(trend[~(up | down)]["layer"])
    text = f"Norms are {'; '.join(parts)}" if parts else "Norms show no trend at any layer"
    text += f"; no trend is shown at {layers_of(neither)}." if parts and neither else "."
    row = first[first["row"] == 0]
    above, below = row["ratio_low"] > 1, row["ratio_high"] < 1
    start = (
        f"The very first row has norms above the mean of the first {first['row'].nunique()} rows "
        f"at {int(above.sum())} of {len(row)} layers and below it at {int(below.sum())} (each by "
        f"its own interval); the largest ratio is {plain_interval(_largest(row), 'ratio')}, at "
        f"layer {int(_largest(row)['layer'])}."
    )
    return [text, start]


def _largest(rows: pd.DataFrame) -> pd.Series:
    return rows.loc[(rows["ratio"] - 1).abs().idxmax()]


def _figure(study: Study, whole: pd.DataFrame, first: pd.DataFrame) -> Figure:
    layers = list(study.measured.layers)
    drawing, panels = new_figure(f"Norms over a response: {study.options.task}", 3, width=4.2)
    grid = whole.pivot(index="layer", columns="start", values="ratio").loc[layers].to_numpy()
    reach = max(float(np.nanmax(np.abs(np.log(grid)))), 1e-6)
    image = panels[0].imshow(
        np.log(grid), aspect="auto", cmap="PuOr_r", vmin=-reach, vmax=reach, origin="lower"
    )
    panels[0].set_yticks(range(len(layers)), [str(layer) for layer in layers], fontsize=7)
    panels[0].set_xticks([-0.5, grid.shape[1] / 2 - 0.5, grid.shape[1] - 0.5], ["0", "½", "1"])
    panels[0].set_ylabel("layer")
    bar = drawing.colorbar(image, ax=panels[0], label="norm over the layer's mean")
    ticks = np.array([-reach, 0, reach])
    bar.set_ticks(list(ticks), labels=[f"{value:.2f}" for value in np.exp(ticks)])
    chosen = sorted(
        {layers[i] for i in np.linspace(0, len(layers) - 1, _LINES).round().astype(int)}
    )
    middle = whole.assign(middle=(whole["start"] + whole["end"]) / 2)
    for index, layer in enumerate(chosen):
        look = (COLORS[index], MARKERS[index], f"layer {layer}")
        banded(panels[1], middle[middle["layer"] == layer], "middle", "ratio", *look)
        banded(panels[2], first[first["layer"] == layer], "row", "ratio", *look)
    for panel, label in zip(panels, ("relative position", "relative position", "row"), strict=True):
        panel.set_xlabel(label)
    for panel in panels[1:]:
        panel.axhline(1, color=GREY, linewidth=0.8)
        panel.set_ylabel("norm over the layer's mean")
    panels[1].legend(fontsize=8)
    return Figure(
        name="course",
        title="Norms over a response",
        caption="Left all layers by relative position; in the middle some of them with 95 % bands; "
        "right the first rows, over the mean of these rows.",
        alt="A heat map of norms by layer and position, and lines of some layers.",
        drawing=drawing,
    )
