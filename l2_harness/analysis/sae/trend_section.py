"""The section on how activation and norm change from layer to layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.trend import Rise
from l2_harness.analysis.sae.words import interval, layers_text, with_words
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {"reasoning": "reasoning features", "random": "random features", "norm": "norm"}


def trend_section(
    table: pd.DataFrame, rises: Sequence[Rise], settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Of :func:`trend_table` and :func:`rises`."""
    return Section(
        name="sae_trend",
        title=with_words("Reasoning features from layer to layer", settings),
        order=32,
        findings=_findings(table, rises),
        caveats=[
            "Every layer has an SAE of its own: its activations have the scale of that layer's "
            "states, and comparing them across layers compares scales too. Random features show "
            "how much of a rise is that.",
            "Intervals are over questions; the layers and the features are taken as given.",
        ],
        settings=settings,
        command=command,
        tables=[
            Table(
                "trend",
                "Means by layer, held questions",
                table,
                "Mean over each response's rows, then over questions.",
                {
                    "reasoning_thinking": "mean activation of the reasoning features, thinking",
                    "random_thinking": "the same of the random features, all draws",
                    "norm_thinking": "mean norm",
                    "reasoning_over_random": "ratio in thinking responses",
                    "reasoning_per_norm": "reasoning features' activation / norm, thinking",
                },
            )
        ],
        figures=[_figure(table)],
    )


def _findings(table: pd.DataFrame, rises: Sequence[Rise]) -> list[str]:
    layers = [int(layer) for layer in table["layer"]]
    if len(layers) < 3:
        return [f"Only {layers_text(layers)} has an SAE: a trend over layers needs three."]
    depth = "; ".join(
        f"{_NAMES[r.name]} {interval(r.depth.value, r.depth.low, r.depth.high)}" for r in rises
    )
    late = "; ".join(
        f"{_NAMES[r.name]} {interval(r.late.value, r.late.low, r.late.high)}" for r in rises
    )
    ratio = table["reasoning_over_random"]
    top = table.loc[ratio.idxmax()]
    above = int((table["reasoning_over_random_low"] > 1).sum())
    return [
        f"In thinking responses, Spearman's correlation of a layer's mean with its depth is: "
        f"{depth}.",
        f"The last quarter of the layers has so many times the mean of the first half: {late}. The "
        "paper describes a sharp rise of the reasoning features in late layers.",
        f"Reasoning features are more active than random ones of the same frequency at {above} of "
        f"{len(layers)} layers (interval of the ratio above 1); the ratio is largest at layer "
        f"{int(top['layer'])}, {top['reasoning_over_random']:.2f}.",
    ]


def _figure(table: pd.DataFrame) -> Figure:
    from l2_harness.findings.figures import BLUE, GREEN, GREY, ORANGE, new_figure

    drawing, (left, middle, right) = new_figure(
        "Held questions, by layer", 3, width=3.8, height=3.6
    )
    for kind, axes, color, marker in (
        ("reasoning", left, BLUE, "o"),
        ("random", left, GREY, "s"),
        ("norm", middle, GREEN, "^"),
    ):
        for task, style in (("thinking", "-"), ("direct", ":")):
            name = f"{kind}_{task}"
            label = f"{_NAMES[kind]}, {task}"
            axes.plot(
                table["layer"], table[name], style, color=color, marker=marker, ms=4, label=label
            )
            axes.fill_between(
                table["layer"], table[f"{name}_low"], table[f"{name}_high"], color=color, alpha=0.15
            )
    name = "reasoning_per_norm"
    right.plot(table["layer"], table[name], color=ORANGE, marker="D", ms=4)
    right.fill_between(
        table["layer"], table[f"{name}_low"], table[f"{name}_high"], color=ORANGE, alpha=0.15
    )
    left.set(xlabel="layer", ylabel="mean activation")
    middle.set(xlabel="layer", ylabel="mean norm")
    right.set(xlabel="layer", ylabel="reasoning activation / norm (thinking)")
    for axes in (left, middle):
        axes.set_ylim(0, None)
        axes.legend(frameon=False, fontsize=7)
    right.set_ylim(0, None)
    for axes in (left, middle, right):
        axes.locator_params(axis="x", integer=True)
    return Figure(
        "by_layer",
        "Activation and norm by layer",
        "Left: reasoning features and random ones of the same frequency. Middle: norm. Right: "
        "their ratio. Bands: 95 % intervals over questions.",
        "Three line plots over layers for thinking and direct responses.",
        drawing,
    )
