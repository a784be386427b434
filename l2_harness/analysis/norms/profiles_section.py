"""The section ``profiles``: norms of thinking beside direct responses, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.norm_figures import banded
from l2_harness.analysis.norms.pairing import PARTS, Pairing
from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.words import LEVEL, ORDERS, layers_of, plain_interval, settings
from l2_harness.findings.figures import BLUE, GREY, ORANGE, new_figure
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd


def profiles_section(study: Study, pairing: Pairing, command: str) -> Section:
    """Mean norm per layer of both kinds of response to the same prompts."""
    return Section(
        name="profiles",
        title=f"Thinking and direct responses: {study.options.task} and {pairing.direct}",
        order=ORDERS["profiles"],
        findings=_findings(study, pairing),
        caveats=[
            "Thinking and direct responses differ in length, in words and in where their rows "
            "stand: a difference between them is not yet reasoning.",
            "The rows after the thinking write what direct responses write, but behind a longer "
            "text.",
            "Norms are compared at one layer, never between layers.",
        ],
        settings=settings(study),
        command=command,
        tables=[
            Table(
                name="profile",
                title="Mean norm per layer, thinking and direct",
                frame=pairing.profile,
                caption="Of the same documents, with 95 % intervals over documents; p of the "
                "difference by flipping signs, Holm-corrected over layers.",
                meanings={
                    "part": "which rows of the thinking response",
                    "difference": "thinking minus direct, in the layer's own unit",
                    "ratio": "thinking over direct",
                },
            )
        ],
        figures=[_figure(study, pairing)],
    )


def _findings(study: Study, pairing: Pairing) -> list[str]:
    thinking, direct = pairing.lengths
    texts = [
        f"{study.options.task} beside {pairing.direct}: {pairing.pairs['all']} documents have both "
        f"({pairing.same}). Responses have {thinking:.1f} and {direct:.1f} tokens on average."
    ]
    if pairing.differing:
        texts.append(f"{pairing.differing} doc_ids stand for different documents; left out.")
    for part, words in PARTS.items():
        rows = pairing.profile[pairing.profile["part"] == part]
        if len(rows):
            texts.append(_of_part(words, rows, pairing.pairs[part]))
        else:
            texts.append(f"No response has {words}: nothing to compare there.")
    return texts


def _of_part(words: str, rows: pd.DataFrame, pairs: int) -> str:
    claimed = (rows["p_holm"] < LEVEL).to_numpy()
    higher = claimed & (rows["ratio_low"] > 1).to_numpy()
    lower = claimed & (rows["ratio_high"] < 1).to_numpy()
    layers = rows["layer"].to_numpy()
    parts = []
    for name, where in (("higher", higher), ("lower", lower)):
        if where.any():
            ratios = rows[where]
            most = ratios.loc[(ratios["ratio"] - 1).abs().idxmax()]
            parts.append(
                f"{name} than the direct ones at {layers_of(layers[where])} (most at layer "
                f"{most['layer']}: {plain_interval(most, 'ratio')} times)"
            )
    rest = layers[~(higher | lower)]
    text = f"Mean norms of {words} of thinking responses, {pairs} documents: "
    if not parts:
        return f"{text}no layer shows a difference from the direct responses."
    text += "; ".join(parts)
    return f"{text}; no difference is shown at {layers_of(rest)}." if len(rest) else f"{text}."


def _figure(study: Study, pairing: Pairing) -> Figure:
    parts = [part for part in PARTS if (pairing.profile["part"] == part).any()]
    drawing, panels = new_figure(
        f"Thinking and direct responses: {study.options.task}", 2, len(parts), height=3.6
    )
    for index, part in enumerate(parts):
        rows = pairing.profile[pairing.profile["part"] == part]
        means, ratio = panels[2 * index : 2 * index + 2]
        banded(means, rows, "layer", "thinking", BLUE, "o", f"thinking, {PARTS[part]}")
        banded(means, rows, "layer", "direct", ORANGE, "s", "direct")
        values = rows[["thinking", "direct"]].to_numpy()
        if np.nanmax(values) > 5 * np.nanmin(values) > 0:
            means.set_yscale("log")
        means.set_ylabel("mean norm")
        means.legend(fontsize=8)
        banded(ratio, rows, "layer", "ratio", BLUE, "o", "thinking / direct")
        ratio.axhline(1, color=GREY, linewidth=0.8)
        ratio.set_ylabel("thinking / direct")
        for panel in (means, ratio):
            panel.set_xlabel("layer")
    return Figure(
        name="by_layer",
        title="Mean norm per layer",
        caption="Left the mean norms, right their ratio; bands are 95 % intervals over documents. "
        "Below, of thinking responses only the rows after the thinking.",
        alt="Mean norm by layer of thinking and direct responses, and their ratio.",
        drawing=drawing,
    )
