"""The section on how good the SAEs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from l2_harness.analysis.sae.quality import Quality
from l2_harness.analysis.sae.words import layers_text, span
from l2_harness.findings.section import Figure, Section, Table


def quality_section(
    found: Sequence[Quality], settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Explained variance, L0 and dead features of every layer's SAE."""
    import pandas as pd

    frame = pd.DataFrame([asdict(one) for one in found])
    layers = [one.layer for one in found]
    return Section(
        name="sae_quality",
        title="Sparse autoencoders: quality",
        order=30,
        findings=[
            f"On {found[0].rows} rows of questions that were not trained on, the SAEs of "
            f"{layers_text(layers)} explain {span([q.explained_variance for q in found])} of the "
            f"states' variance with {span([q.l0 for q in found], 1)} active features of "
            f"{found[0].features} a row. {span([q.dead * 100 for q in found], 1)} % of the "
            "features are active on none of these rows.",
        ],
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


def _figure(frame: Any) -> Figure:
    from l2_harness.findings.figures import BLUE, GREEN, ORANGE, new_figure

    drawing, (left, right) = new_figure("SAE quality on held-out rows", 2, width=4.5, height=3.6)
    left.plot(frame["layer"], frame["explained_variance"], color=BLUE, marker="o")
    left.set(xlabel="layer", ylabel="explained variance", ylim=(min(0, left.get_ylim()[0]), 1.02))
    right.plot(frame["layer"], frame["l0"], color=ORANGE, marker="s", label="L0")
    right.plot(
        frame["layer"], frame["dead"] * 100, color=GREEN, marker="^", label="dead features, %"
    )
    right.set(xlabel="layer", ylim=(0, None))
    for axes in (left, right):
        axes.locator_params(axis="x", integer=True)
    right.legend(frameon=False, fontsize=8)
    return Figure(
        "quality_by_layer",
        "Explained variance, L0 and dead features by layer",
        "Left: share of the variance that is rebuilt. Right: active features of a row, and the "
        "share of features that are never active.",
        "Two line plots over layers: explained variance; L0 and the share of dead features.",
        drawing,
    )
