"""The section on how good the SAEs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.quality import Quality
from l2_harness.findings import panels
from l2_harness.findings.figures import BLUE, GREEN, ORANGE, new_figure
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import count, layers, span

if TYPE_CHECKING:
    import pandas as pd


def quality_section(
    found: Sequence[Quality], settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Explained variance, L0 and dead features of every layer's SAE."""
    import pandas as pd

    frame = pd.DataFrame([asdict(one) for one in found])
    return Section(
        name="sae_quality",
        title="Sparse autoencoders: quality",
        order=30,
        findings=[quality_finding(frame)],
        caveats=[
            "Explained variance says how well states are rebuilt, not that a feature means "
            "anything.",
            "Variance is about the mean over rows: components that are large on every row do not "
            "count as explained.",
        ],
        settings=settings,
        command=command,
        tables=[
            Table(
                "quality",
                "Quality by layer",
                frame,
                "Measured on held-out questions.",
                {
                    "explained_variance": "1 − squared error / variance about the mean row",
                    "l0": "mean number of active features of a row",
                    "dead": "share of features that no row activates",
                    "norm_ratio": "mean norm of the reconstruction / mean norm of the state",
                },
            )
        ],
        figures=[_figure(frame)],
    )


def quality_finding(frame: pd.DataFrame) -> str:
    """How much of the variance the SAEs explain, and how many features are dead."""
    return (
        f"On {count(int(frame['rows'].max()), 'row')} that were not trained on, the SAEs of "
        f"{layers(frame['layer'])} explain {span(frame['explained_variance'])} of the variance; "
        f"{span(100 * frame['dead'], 1)} % of the features are dead."
    )


def _figure(frame: pd.DataFrame) -> Figure:
    drawing, (left, right) = new_figure("SAE quality on held-out rows", 2, width=4.5, height=3.6)
    shares = frame.assign(dead=100 * frame["dead"])
    panels.line(left, shares, "layer", "explained_variance", Look(BLUE), "explained variance")
    panels.line(right, shares, "layer", "l0", Look(ORANGE, "s"), "L0")
    panels.line(right, shares, "layer", "dead", Look(GREEN, "^"), "dead features, %")
    left.set(ylabel="explained variance", ylim=(min(0, left.get_ylim()[0]), 1.02))
    right.set_ylim(0, None)
    for panel in (left, right):
        panels.layer_axis(panel)
    panels.legend(drawing, [left, right])
    return Figure(
        "quality_by_layer",
        "Explained variance, L0 and dead features by layer",
        "Left: share of the variance that is rebuilt. Right: active features of a row, and the "
        "share of features that are never active.",
        "Two line plots over layers: explained variance; L0 and the share of dead features.",
        drawing,
    )
