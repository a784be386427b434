"""The section ``token_kinds``: on which kinds of token norms peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.token_kinds import KINDS, SIDES
from l2_harness.analysis.norms.words import (
    LEVEL,
    ORDERS,
    VARIANT_WORDS,
    plain_interval,
    settings,
)
from l2_harness.findings.figures import BLUE, GREY, ORANGE, new_figure
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd


def kinds_section(study: Study, command: str) -> Section:
    """Rates of peaks by kind of token, by what a row wrote and by what it read."""
    import pandas as pd

    frames = [
        counts.table(study.measured.layers).assign(rows_counted=variant)
        for variant, counts in study.measured.peaks.items()
    ]
    table = pd.concat(frames, ignore_index=True)
    table.insert(0, "variant", table.pop("rows_counted"))
    whole = table[table["layer"] == "all"].reset_index(drop=True)
    layers = table[table["layer"] != "all"].reset_index(drop=True)
    meanings = {
        "side": "whether the kind is that of the token that a row wrote, or that it read",
        "rate": "share of the kind's rows whose norm is above τ",
        "lift": "the rate over that of all kinds",
        "p_holm": "of a lift of 1, Holm-corrected over kinds (and layers)",
    }
    return Section(
        name="token_kinds",
        title=f"Peaks by kind of token: {study.subject}",
        order=ORDERS["token_kinds"],
        findings=_findings(whole),
        caveats=[
            "A peak is a row above τ of its own group, so about as many rows peak at every layer "
            "as its norms have outliers; a lift says where, not how strongly.",
            "Kinds differ in where they stand in a response; the variant without the first rows "
            "takes out the opening only.",
            "A token's kind is its own text's; a discourse word cut in pieces counts as other.",
        ],
        settings=settings(study),
        command=command,
        tables=[
            Table("kinds", "Peaks by kind of token, mean over layers", whole, "", meanings),
            Table("kinds_by_layer", "Peaks by kind of token and layer", layers, "", meanings),
        ],
        figures=[_figure(study, whole, layers)],
    )


def _findings(whole: pd.DataFrame) -> list[str]:
    texts = []
    for variant in dict.fromkeys(whole["variant"]):
        for side in SIDES:
            rows = whole[(whole["variant"] == variant) & (whole["side"] == side)]
            if len(rows):
                texts.append(f"By the token {side}, {VARIANT_WORDS[variant]}: {_of_side(rows)}.")
    return texts


def _of_side(rows: pd.DataFrame) -> str:
    total = float(rows["peaks"].sum() / rows["rows"].sum())
    claimed = rows["p_holm"] < LEVEL
    parts = [f"{total:.1%} of rows peak, the mean over layers"]
    for word, where in (
        ("more often than all rows", claimed & (rows["lift_low"] > 1)),
        ("less often", claimed & (rows["lift_high"] < 1)),
    ):
        found = rows[where].sort_values("lift", ascending=word.startswith("less"))
        if len(found):
            named = [
                f"{r['kind']} ({plain_interval(r, 'lift')} times)" for _, r in found.iterrows()
            ]
            parts.append(f"{word}: {', '.join(named)}")
    never = rows[rows["peaks"] == 0]["kind"]
    if len(never):
        parts.append(f"never: {', '.join(never)}")
    unclear = rows[~claimed & (rows["peaks"] > 0)]["kind"]
    if len(unclear):
        parts.append(f"not shown to differ: {', '.join(unclear)}")
    return "; ".join(parts)


def _figure(study: Study, whole: pd.DataFrame, layers: pd.DataFrame) -> Figure:
    drawing, panels = new_figure(
        f"Peaks by kind of token: {study.options.task}", 2, width=4.8, height=3.8
    )
    for offset, side, colour, marker in (
        (-0.15, "written", BLUE, "o"),
        (0.15, "read", ORANGE, "s"),
    ):
        rows = whole[(whole["variant"] == "all_rows") & (whole["side"] == side)]
        place = rows["kind"].map(KINDS.index).to_numpy(float) + offset
        value = rows["lift"].to_numpy(float)
        errors = np.abs(rows[["lift_low", "lift_high"]].to_numpy(float).T - value)
        panels[0].errorbar(
            place, value, yerr=errors, fmt=marker, color=colour, capsize=3, label=f"token {side}"
        )
    panels[0].axhline(1, color=GREY, linewidth=0.8)
    panels[0].set_xticks(range(len(KINDS)), list(KINDS), rotation=30, fontsize=8)
    panels[0].set_ylabel("rate of peaks over that of all rows")
    panels[0].legend(fontsize=8)
    by_layer = layers[(layers["variant"] == "all_rows") & (layers["side"] == "written")]
    grid = by_layer.pivot(index="kind", columns="layer", values="rate")
    names = [str(layer) for layer in study.measured.layers]
    values = grid.reindex(index=list(KINDS), columns=names).to_numpy(float)
    image = panels[1].imshow(values, aspect="auto", cmap="viridis", vmin=0)
    panels[1].set_yticks(range(len(KINDS)), list(KINDS), fontsize=8)
    panels[1].set_xticks(range(len(names)), names, fontsize=7)
    panels[1].set_xlabel("layer")
    drawing.colorbar(image, ax=panels[1], label="share of rows that peak (token written)")
    return Figure(
        name="token_kinds",
        title="Peaks by kind of token",
        caption="Left the rate of peaks of each kind over that of all rows, the mean over layers, "
        "with 95 % question-clustered intervals; right the rates by layer.",
        alt="Points with intervals for six kinds of token, and a heat map by layer.",
        drawing=drawing,
    )
