"""Figures of norms and correctness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.labels import STATISTIC_WORDS, named
from l2_harness.analysis.norms.norm_statistics import STATISTICS
from l2_harness.analysis.norms.relations import WITHIN
from l2_harness.analysis.norms.study import Study
from l2_harness.findings import least, panels
from l2_harness.findings.claims import signs
from l2_harness.findings.figures import (
    BLUE,
    COLORS,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    new_figure,
    new_grid,
)
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.intervals import mean_estimates

if TYPE_CHECKING:
    import pandas as pd

#: Into how many groups of equal size responses go in the curve of accuracy, at most.
GROUPS = 10
_COLUMNS = 4
_OF = {"variant": "all_rows", "outcome": "correct", "measure": "spearman"}
_LINES = (
    ("pooled", "none", "over all responses", Look(BLUE, "o")),
    ("pooled", "all", "the same, controlled", Look(ORANGE, "s")),
    (WITHIN, "none", "within question", Look(GREEN, "^")),
)


def by_layer(study: Study) -> Figure | None:
    """Spearman with correctness by layer, a panel a statistic that has a figure; None of none."""
    rows = study.rows(**_OF)
    drawn = [one for one in STATISTICS if rows["value"][rows["statistic"] == one].notna().any()]
    if not drawn:
        return None
    title = f"Norms and correctness by layer: {study.options.task}"
    drawing, axes = new_grid(title, len(drawn), _COLUMNS, width=3.6, height=3.0)
    for panel, statistic in zip(axes, drawn, strict=True):
        for scope, control, label, look in _LINES:
            own = study.rows(**_OF, statistic=statistic, scope=scope, control=control)
            panels.line(panel, own, "layer", "value", look, label, claimed=signs(own) != 0)
        panels.level(panel, 0)
        panels.layer_axis(panel)
        panel.set_title(STATISTIC_WORDS[statistic], fontsize=10)
    for panel in axes[::_COLUMNS]:
        panel.set_ylabel("Spearman with correctness")
    panels.legend(drawing, axes)
    return Figure(
        name="by_layer",
        title="Norm statistics and correctness by layer",
        caption=f"Spearman's coefficient with correctness. {panels.CLAIMED}; bands are 95 % "
        "question-clustered intervals of each figure alone.",
        alt="A panel a norm statistic with its correlation by layer, and the line of zero.",
        drawing=drawing,
    )


def pooled_and_within(study: Study) -> Figure | None:
    """Each layer and statistic, over all responses against within strata; None without any."""
    of = {**_OF, "control": "none"}
    pooled = study.rows(**of, scope="pooled")
    inside = {scope: study.rows(**of, scope=scope) for scope in study.scopes if scope != "pooled"}
    inside = {scope: rows for scope, rows in inside.items() if rows["value"].notna().any()}
    if not inside or not pooled["value"].notna().any():
        return None
    drawing, axes = new_figure(
        f"Over all responses and within: {study.options.task}", len(inside), width=4.8
    )
    for panel, (scope, within) in zip(axes, inside.items(), strict=True):
        for index, statistic in enumerate(STATISTICS):
            own = pooled["statistic"] == statistic
            panel.scatter(
                *(pooled["value"][own], within["value"][own]),
                color=COLORS[index % len(COLORS)],
                marker=MARKERS[index],
                label=STATISTIC_WORDS[statistic],
                s=24,
            )
        panels.level(panel, 0)
        panel.axvline(0, color=GREY, linewidth=0.8, linestyle="--")
        panel.axline((0, 0), slope=1, color=GREY, linewidth=0.8, linestyle=":")
        panel.set_xlabel("Spearman over all responses")
        panel.set_ylabel(f"Spearman {scope}")
    panels.legend(drawing, axes)
    return Figure(
        name="pooled_and_within",
        title="Over all responses against within",
        caption="A point a layer and statistic. On the dotted line both agree; a point on the "
        "horizontal line tells questions apart, not right from wrong responses to one.",
        alt="A scatter of correlations with correctness over all responses against those within "
        "strata.",
        drawing=drawing,
    )


def accuracy_by_norm(study: Study) -> Figure | None:
    """How often responses are right, by the size of the statistic that was chosen held out."""
    layer, statistic = study.column(study.choices[0].column)
    at = study.measured.layers.index(layer)
    table = accuracy_groups(study, study.measured.statistics[0].of(statistic)[:, at])
    if study.verdicts is None or len(table) < 2:
        return None
    drawing, (panel,) = new_figure(f"Accuracy by the size of a norm: {study.options.task}", 1)
    panels.line(panel, table, "middle", "accuracy", Look(BLUE), study.verdicts.metric)
    panels.level(panel, float(np.nanmean(study.verdicts.values)))
    panel.set_xlabel(f"{named(layer, statistic)}, median of the group")
    panel.set_ylabel(study.verdicts.metric)
    return Figure(
        name="accuracy_by_norm",
        title="Accuracy by the size of the chosen norm",
        caption=f"Responses in {len(table)} groups of about equal size by the statistic that half "
        "the questions chose, all questions shown; bands are 95 % question-clustered intervals, "
        "dashed the mean over all.",
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
    groups = max(min(GROUPS, len(np.unique(question)) // least.QUESTIONS), 1)
    edges = np.unique(np.quantile(x, np.arange(1, groups) / groups)) if len(x) else np.empty(0)
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
