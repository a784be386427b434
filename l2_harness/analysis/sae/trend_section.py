"""The section on how activation and norm change from layer to layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.labels import LOOKS, MEAN_WORDS, with_words
from l2_harness.analysis.sae.trend import KINDS, Rise
from l2_harness.findings import least, panels
from l2_harness.findings.figures import ORANGE, new_figure
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import estimate, listed, share

if TYPE_CHECKING:
    import pandas as pd

_MEANINGS = {
    "reasoning_thinking": "mean activation of the reasoning features, thinking",
    "random_thinking": "the same of the random features, all draws",
    "norm_thinking": "mean norm",
    "reasoning_over_random": "ratio in thinking responses",
    "reasoning_per_norm": "reasoning features' activation / norm, thinking",
}


def trend_section(
    table: pd.DataFrame,
    rises: Sequence[Rise],
    questions: int,
    settings: Mapping[str, Any],
    command: str = "",
) -> Section:
    """Of :func:`trend_table` and :func:`rises`, of so many held questions."""
    means = [name.removesuffix("_low") for name in table if str(name).endswith("_low")]
    table = least.kept(table, questions, means, values=False)
    return Section(
        name="sae_trend",
        title=with_words("Reasoning features from layer to layer", settings),
        order=32,
        findings=trend_findings(table, rises, questions),
        caveats=[
            "Every layer has an SAE of its own: its activations have the scale of that layer's "
            "states, and comparing them across layers compares scales too. Random features show "
            "how much of a rise is that.",
            "Intervals are over questions; the layers and the features are taken as given.",
            "The paper describes a sharp rise of the reasoning features in late layers.",
        ],
        settings=settings,
        command=command,
        tables=[
            Table(
                "trend",
                "Means by layer, held questions",
                table,
                "Mean over each response's rows, then over questions.",
                _MEANINGS,
            )
        ],
        figures=[_figure(table)],
    )


def trend_findings(table: pd.DataFrame, rises: Sequence[Rise], questions: int) -> list[str]:
    """How means go with depth, and where reasoning features are above random ones."""
    why = least.reason(len(table), "layer") or least.reason(questions)
    if why:
        return [f"No trend over layers is shown: {why}."]
    depth, late = (
        listed(f"{MEAN_WORDS[r.name]} {estimate(getattr(r, name))}" for r in rises)
        for name in ("depth", "late")
    )
    above = int((table["reasoning_over_random_low"] > 1).sum())
    return [
        f"Spearman of a layer's mean in thinking responses with its depth: {depth}.",
        f"Mean of the last quarter of the layers over that of the first half: {late}.",
        f"Reasoning features are more active than random ones at "
        f"{share(above, len(table), 'layer')} (each by its own interval).",
    ]


def _figure(table: pd.DataFrame) -> Figure:
    drawing, (left, middle, right) = new_figure(
        "Held questions, by layer", 3, width=3.8, height=3.6
    )
    for kind in KINDS:
        panel = middle if kind == "norm" else left
        for task, style in (("thinking", "-"), ("direct", ":")):
            look = LOOKS[kind]._replace(style=style)
            label = f"{MEAN_WORDS[kind]}, {task}"
            panels.line(panel, table, "layer", f"{kind}_{task}", look, label)
    panels.line(right, table, "layer", "reasoning_per_norm", Look(ORANGE, "D"), "their ratio")
    for panel, name in (
        (left, "mean activation"),
        (middle, "mean norm"),
        (right, "activation / norm, thinking"),
    ):
        panel.set(ylabel=name, ylim=(0, None))
        panels.layer_axis(panel)
    panels.legend(drawing, [left, middle, right])
    return Figure(
        "by_layer",
        "Activation and norm by layer",
        "Left: reasoning features and random ones of the same frequency. Middle: norm. Right: "
        "their ratio. Bands: 95 % intervals over questions.",
        "Three line plots over layers for thinking and direct responses.",
        drawing,
    )
