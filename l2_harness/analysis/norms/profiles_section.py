"""The section ``profiles``: norms of thinking beside direct responses, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.labels import section_of
from l2_harness.analysis.norms.pairing import PARTS, Pairing
from l2_harness.analysis.norms.study import Study
from l2_harness.findings import least, panels
from l2_harness.findings.claims import groups, signs
from l2_harness.findings.figures import BLUE, ORANGE, new_figure
from l2_harness.findings.numbers import fixed
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import capital, count, sides

if TYPE_CHECKING:
    import pandas as pd

#: From this ratio of the largest to the smallest mean on, a linear axis hides the small ones.
_LOG_FROM = 5.0


def profiles_section(study: Study, pairing: Pairing, command: str) -> Section:
    """Mean norm per layer of both kinds of response to the same prompts."""
    profile = pairing.profile
    few = profile["part"].map(pairing.pairs)
    names = ("thinking", "direct", "difference", "ratio")
    profile = least.kept(profile, few, names, values=False)
    thinking, direct = (fixed(length, 1) for length in pairing.lengths)
    left_out = count(pairing.differing, "doc_id")
    return section_of(
        *(study, command, "profiles", f"Thinking and direct responses ({pairing.direct})"),
        findings=[
            *(
                part_finding(words, profile[profile["part"] == part], pairing.pairs[part])
                for part, words in PARTS.items()
            ),
            f"Thinking responses have {thinking} tokens on average, direct ones {direct}.",
        ],
        caveats=[
            f"Documents are {pairing.same}.",
            *([f"{left_out} with different documents left out."] if pairing.differing else []),
            "Thinking and direct responses differ in length, in words and in where their rows "
            "stand: a difference between them is not yet reasoning.",
            "The rows after the thinking write what direct responses write, but behind a longer "
            "text.",
            "Norms are compared at one layer, never between layers.",
        ],
        tables=[
            Table(
                "profile",
                "Mean norm per layer, thinking and direct",
                profile,
                "Of the same documents, with 95 % intervals over documents; p of the difference by "
                "flipping signs, corrected over layers.",
                {
                    "part": "which rows of the thinking response",
                    "difference": "thinking minus direct, in the layer's own unit",
                    "ratio": "thinking over direct",
                },
            )
        ],
        figures=[_figure(study, profile)],
    )


def part_finding(words: str, rows: pd.DataFrame, pairs: int) -> str:
    """At which layers a part of the thinking responses has larger norms than direct ones."""
    if not pairs:
        return f"No response has {words}."
    start = f"{capital(words)} of thinking responses to {count(pairs, 'document')}"
    if not least.enough(pairs):
        return f"{start}, beside direct ones: no difference is tested; {least.reason(pairs)}."
    where = sides(groups(rows, "layer", "ratio", 1.0), "than direct ones")
    return f"{start} have norms {where}."


def _figure(study: Study, profile: pd.DataFrame) -> Figure:
    parts = [part for part in PARTS if (profile["part"] == part).any()]
    drawing, axes = new_figure(
        f"Thinking and direct responses: {study.options.task}", 2, len(parts), height=3.6
    )
    for index, part in enumerate(parts):
        rows = profile[profile["part"] == part]
        means, ratio = axes[2 * index : 2 * index + 2]
        panels.line(means, rows, "layer", "thinking", Look(BLUE, "o"), "thinking")
        panels.line(means, rows, "layer", "direct", Look(ORANGE, "s"), "direct")
        claimed = signs(rows, "ratio", 1.0) != 0
        panels.line(ratio, rows, "layer", "ratio", Look(BLUE), "thinking", claimed=claimed)
        panels.level(ratio, 1)
        values = rows[["thinking", "direct"]].to_numpy()
        if np.nanmax(values) > _LOG_FROM * np.nanmin(values) > 0:
            means.set_yscale("log")
        means.set_ylabel("mean norm")
        ratio.set_ylabel("thinking / direct")
        for panel in (means, ratio):
            panel.set_title(PARTS[part], fontsize=10)
            panels.layer_axis(panel)
    panels.legend(drawing, axes)
    return Figure(
        name="by_layer",
        title="Mean norm per layer",
        caption=f"Left the mean norms, right their ratio. {panels.CLAIMED}; bands are 95 % "
        "intervals over documents.",
        alt="Mean norm by layer of thinking and direct responses, and their ratio.",
        drawing=drawing,
    )
