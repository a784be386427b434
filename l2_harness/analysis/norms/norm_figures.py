"""Figures of norms and correctness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.norm_statistics import STATISTICS
from l2_harness.analysis.norms.relations import WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.words import STATISTIC_WORDS
from l2_harness.findings.figures import BLUE, COLORS, GREEN, GREY, MARKERS, ORANGE, new_figure
from l2_harness.findings.section import Figure
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.intervals import mean_estimates

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Into how many groups of equal size responses go in the curve of accuracy.
GROUPS = 10


def by_layer(study: Study) -> Figure:
    """Spearman with correctness by layer, a panel a statistic, raw beside controlled."""
    drawing, panels = new_figure(
        f"Norms and correctness by layer: {study.options.task}", 4, 2, width=3.6, height=3.0
    )
    of = {"variant": "all_rows", "outcome": "correct", "measure": "spearman"}
    lines = [("pooled", "none", "raw", BLUE, "o"), ("pooled", "all", "controlled", ORANGE, "s")]
    if WITHIN in study.scopes:
        lines.append((WITHIN, "none", "within question", GREEN, "^"))
    for panel, statistic in zip(panels, STATISTICS, strict=True):
        for scope, control, label, colour, marker in lines:
            rows = study.rows(**of, statistic=statistic, scope=scope, control=control)
            banded(panel, rows, "layer", "value", colour, marker, label)
        panel.axhline(0, color=GREY, linewidth=0.8)
        panel.set_title(STATISTIC_WORDS[statistic], fontsize=10)
        panel.set_xlabel("layer")
    panels[0].set_ylabel("Spearman with correctness")
    panels[4].set_ylabel("Spearman with correctness")
    panels[0].legend(fontsize=8)
    return Figure(
        name="by_layer",
        title="Norm statistics and correctness by layer",
        caption="Spearman's coefficient with correctness; bands are 95 % question-clustered "
        "intervals, each of one figure. Controlled: for log length, position, entropy, truncation.",
        alt="Eight panels, one a norm statistic, with the correlation by layer, raw and "
        "controlled, and the line of zero.",
        drawing=drawing,
    )


def pooled_and_within(study: Study) -> Figure:
    """Each layer and statistic, over all responses against within strata."""
    scopes = [scope for scope in study.scopes if scope != "pooled"]
    drawing, panels = new_figure(
        f"Over all responses and within: {study.options.task}", len(scopes), width=4.5
    )
    of = {"variant": "all_rows", "outcome": "correct", "measure": "spearman", "control": "none"}
    for panel, scope in zip(panels, scopes, strict=True):
        for index, statistic in enumerate(STATISTICS):
            pooled = study.rows(**of, statistic=statistic, scope="pooled")
            within = study.rows(**of, statistic=statistic, scope=scope)
            panel.scatter(
                *(pooled["value"], within["value"]),
                color=COLORS[index % len(COLORS)],
                marker=MARKERS[index],
                label=STATISTIC_WORDS[statistic],
                s=24,
            )
        panel.axhline(0, color=GREY, linewidth=0.8)
        panel.axvline(0, color=GREY, linewidth=0.8)
        panel.axline((0, 0), slope=1, color=GREY, linewidth=0.8, linestyle=":")
        panel.set_xlabel("Spearman over all responses")
        panel.set_ylabel(f"Spearman {scope}")
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return Figure(
        name="pooled_and_within",
        title="Over all responses against within",
        caption="A point a layer and statistic. On the dotted line both agree; a point on the "
        "horizontal line tells questions apart, not right from wrong responses to one.",
        alt="A scatter of correlations with correctness over all responses against those within "
        "strata.",
        drawing=drawing,
    )


def accuracy_by_norm(study: Study) -> Figure:
    """How often responses are right, by the size of the statistic that was chosen held out."""
    layer, statistic = study.column(study.choices[0].column)
    at = study.measured.layers.index(layer)
    values = study.measured.statistics[0].of(statistic)[:, at]
    drawing, (panel,) = new_figure(f"Accuracy by the size of a norm: {study.options.task}", 1)
    table = accuracy_groups(study, values)
    banded(panel, table, "middle", "accuracy", BLUE, "o", "accuracy")
    mean = np.mean(study.verdicts.values) if study.verdicts else np.nan
    panel.axhline(mean, color=GREY, linewidth=0.8, linestyle="--", label="over all")
    panel.set_xlabel(f"{STATISTIC_WORDS[statistic]} at layer {layer}, median of the group")
    panel.set_ylabel(study.verdicts.metric if study.verdicts else "")
    panel.legend(fontsize=8)
    return Figure(
        name="accuracy_by_norm",
        title="Accuracy by the size of the chosen norm",
        caption=f"Responses in up to {GROUPS} groups of equal size by the statistic that half the "
        "questions chose, all questions shown; bands are 95 % question-clustered intervals.",
        alt="Mean correctness of groups of responses against the median of their norm.",
        drawing=drawing,
    )


def accuracy_groups(study: Study, values: Floats) -> pd.DataFrame:
    """``middle`` (median), ``accuracy`` with ``_low`` and ``_high``, ``responses``, by group."""
    import pandas as pd

    assert study.verdicts is not None
    known = np.isfinite(values) & np.isfinite(study.verdicts.values)
    x, y = values[known], study.verdicts.values[known]
    question = study.measured.question[known]
    edges = np.unique(np.quantile(x, np.arange(1, GROUPS) / GROUPS))
    group = np.searchsorted(edges, x, side="right")
    members = [group == one for one in np.unique(group)]
    bounded = bool(((y >= 0) & (y <= 1)).all())
    found = [
        mean_estimates(
            y[own][:, None], Design.of(int(own.sum()), clusters=question[own]), bounded=bounded
        )[0]
        for own in members
    ]
    return pd.DataFrame(
        {
            "middle": [float(np.median(x[own])) for own in members],
            "accuracy": [one.value for one in found],
            "accuracy_low": [one.low for one in found],
            "accuracy_high": [one.high for one in found],
            "responses": [one.responses for one in found],
        }
    )


def banded(
    panel: Axes, rows: pd.DataFrame, x: str, y: str, colour: str, marker: str, label: str
) -> None:
    """A line with the band of its interval."""
    place, value = rows[x].to_numpy(float), rows[y].to_numpy(float)
    panel.plot(place, value, color=colour, marker=marker, markersize=3.5, label=label)
    low, high = rows[f"{y}_low"].to_numpy(float), rows[f"{y}_high"].to_numpy(float)
    panel.fill_between(place, low, high, color=colour, alpha=0.2, linewidth=0)
