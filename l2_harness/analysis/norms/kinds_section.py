"""The section ``token_kinds``: on which kinds of token norms peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.analysis.norms.labels import section_of
from l2_harness.analysis.norms.study import Study
from l2_harness.analysis.norms.token_kinds import KINDS, SIDES
from l2_harness.findings import least, panels
from l2_harness.findings.claims import groups, signs
from l2_harness.findings.figures import BLUE, ORANGE, new_figure
from l2_harness.findings.numbers import fixed
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import listed

if TYPE_CHECKING:
    import pandas as pd

_MEANINGS = {
    "side": "whether the kind is that of the token that a row wrote, or that it read",
    "rate": "share of the kind's rows whose norm is above τ",
    "lift": "the rate over that of all kinds",
    "p_holm": "of a lift of 1, corrected over kinds (and layers)",
}


def kinds_section(study: Study, command: str) -> Section:
    """Rates of peaks by kind of token, by what a row wrote and by what it read."""
    import pandas as pd

    frames = []
    for variant, counts in study.measured.peaks.items():
        frame = counts.table(study.measured.layers)
        frame.insert(0, "variant", variant)
        frames.append(frame)
    questions = len(study.resamples.labels)
    names = ("rate", "lift")
    table = least.kept(pd.concat(frames, ignore_index=True), questions, names, values=False)
    of_all = table["layer"] == "all"
    whole, layers = (table[rows].reset_index(drop=True) for rows in (of_all, ~of_all))
    sides = {side: _of(whole, side) for side in SIDES}
    return section_of(
        *(study, command, "token_kinds", "Peaks by kind of token"),
        findings=[side_finding(side, rows, questions) for side, rows in sides.items()],
        caveats=[
            "A peak is a row above τ of its own group, so about as many rows peak at every layer "
            "as its norms have outliers; a lift says where, not how strongly.",
            "Kinds differ in where they stand in a response; the variant without the first rows "
            "takes out the opening only.",
            "A token's kind is its own text's; a discourse word cut in pieces counts as other.",
        ],
        tables=[
            Table("kinds", "Peaks by kind of token, mean over layers", whole, "", _MEANINGS),
            Table("kinds_by_layer", "Peaks by kind of token and layer", layers, "", _MEANINGS),
        ],
        figures=[_figure(study, whole, layers)],
    )


def _of(rows: pd.DataFrame, side: str) -> pd.DataFrame:
    return rows[(rows["variant"] == "all_rows") & (rows["side"] == side)]


def side_finding(side: str, rows: pd.DataFrame, questions: int) -> str:
    """Which kinds of token peak more and less often than all rows."""
    start = f"By the token {side}"
    total = rows["rows"].sum()
    if not total:
        return f"{start} there is no row."
    start += f" {fixed(100 * float(rows['peaks'].sum() / total), 1)} % of rows are peaks"
    if not least.enough(questions):
        return f"{start}; kinds are not told apart: {least.reason(questions)}."
    often, seldom, _ = groups(rows, "kind", "lift", 1.0)
    told = (("more often of kind", often), ("less often of kind", seldom))
    parts = [f"{word} {listed(kinds)}" for word, kinds in told if len(kinds)]
    return f"{start}, {'; '.join(parts) or 'and no kind is shown to differ'}."


def _figure(study: Study, whole: pd.DataFrame, layers: pd.DataFrame) -> Figure:
    drawing, (lifts, rates) = new_figure(
        f"Peaks by kind of token: {study.options.task}", 2, width=4.8, height=3.8
    )
    for shift, side, look in ((-0.15, "written", Look(BLUE)), (0.15, "read", Look(ORANGE, "s"))):
        rows = _of(whole, side).assign(place=lambda own: own["kind"].map(KINDS.index))
        claimed = signs(rows, "lift", 1.0) != 0
        look = look._replace(style="")
        how = {"claimed": claimed, "bars": True, "shift": shift}
        panels.line(lifts, rows, "place", "lift", look, f"token {side}", **how)
    panels.level(lifts, 1)
    lifts.set_xticks(range(len(KINDS)), list(KINDS), rotation=30, fontsize=8)
    lifts.set_ylabel("rate of peaks over that of all rows")
    grid = _of(layers, "written").pivot(index="kind", columns="layer", values="rate")
    names = [str(layer) for layer in study.measured.layers]
    values = grid.reindex(index=list(KINDS), columns=names).to_numpy(float)
    image = panels.heat_map(rates, values, KINDS, names, cmap="viridis", vmin=0)
    rates.set_xlabel("layer")
    drawing.colorbar(image, ax=rates, label="share of rows that peak (token written)")
    panels.legend(drawing, [lifts])
    return Figure(
        name="token_kinds",
        title="Peaks by kind of token",
        caption="Left the rate of peaks of each kind over that of all rows, the mean over layers, "
        f"with 95 % question-clustered intervals; right the rates by layer. {panels.CLAIMED}.",
        alt="Points with intervals for six kinds of token, and a heat map by layer.",
        drawing=drawing,
    )
