"""The section on the bound of activations by norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.bound_check import BINS, QUANTILES, BoundResult
from l2_harness.findings import panels
from l2_harness.findings.figures import BLUE, ORANGE, SKY, new_figure
from l2_harness.findings.numbers import fixed
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import count, layers, span

if TYPE_CHECKING:
    import pandas as pd


def bound_table(results: Sequence[BoundResult]) -> pd.DataFrame:
    """A row a layer: what was checked, violations, and quantiles of |act| / bound."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "layer": one.layer,
                "architecture": one.architecture,
                "rows": one.rows,
                "features": one.features,
                "active": one.active,
                "violations": one.violations,
                **{_column(q): one.quantile(q) for q in QUANTILES},
                "tightest": one.tightest,
            }
            for one in results
        ]
    )


def _column(q: float) -> str:
    return f"q{100 * q:g}".replace(".", "_")


def bound_section(
    results: Sequence[BoundResult], settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Of :func:`~l2_harness.analysis.sae.bound_check.check_sae` at every layer."""
    table = bound_table(results)
    return Section(
        name="sae_bound",
        title="Norms bound every feature",
        order=34,
        findings=bound_findings(table),
        caveats=[
            "The bound follows from the encoder being linear, for every feature and every state. "
            "That it holds says nothing of reasoning: it says that a norm and any feature are "
            "related, which is why random features are the comparison.",
            "The check notices a wrong encoder only where an activation comes near its bound.",
        ],
        settings=settings,
        command=command,
        tables=[
            Table(
                "bound",
                "Activations against ‖w‖‖h‖ + b",
                table,
                "Every captured row and every feature. Quantiles are of |activation| / bound over "
                "the active ones.",
                {
                    "active": "pairs of row and feature with an activation",
                    "violations": "activations beyond bound and float32 rounding; must be 0",
                    "tightest": "the largest |activation| / bound",
                },
            )
        ],
        figures=[_figure(table)],
    )


def bound_findings(table: pd.DataFrame) -> list[str]:
    """Whether the bound holds, and how much room it leaves."""
    violations, active = int(table["violations"].sum()), int(table["active"].sum())
    of = count(active, "activation")
    if violations:
        at = layers(table["layer"][table["violations"] > 0])
        return [
            f"VIOLATED: {violations} of {of} exceed ‖w‖‖h‖ + b, at {at}.",
            "The encoder that ran is not the one whose weights were read, or its bound is wrong: "
            "no figure of these SAEs can be trusted.",
        ]
    if not active:
        return [f"No feature is active at {layers(table['layer'])}: there is nothing to check."]
    tightest = max(float(table["tightest"].max()), 1e-9)
    return [
        f"Of {of} at {layers(table['layer'])} none exceeds ‖w‖‖h‖ + b.",
        f"The bound is loose: the median activation reaches {span(table[_column(0.5)])} of it; an "
        f"encoder scaled by more than {fixed(1 / tightest, 2)} would have been noticed.",
    ]


def _figure(table: pd.DataFrame) -> Figure:
    drawing, (panel,) = new_figure("How much of the bound activations use", width=7, height=3.8)
    for low, high, color in ((0.05, 0.95, SKY), (0.25, 0.75, BLUE)):
        panel.fill_between(
            *(table["layer"], table[_column(low)], table[_column(high)]),
            color=color,
            alpha=0.35,
            label=f"{100 * low:.0f} % to {100 * high:.0f} %",
            step="mid" if len(table) == 1 else None,
        )
    panels.line(panel, table, "layer", _column(0.5), Look(BLUE), "median")
    panels.line(panel, table, "layer", "tightest", Look(ORANGE, "^", ":"), "closest")
    panels.level(panel, 1)
    panels.layer_axis(panel)
    panel.set_ylabel("|activation| / (‖w‖‖h‖ + b)")
    panel.set_ylim(0, max(1.08, min(float(table["tightest"].max()) * 1.05, 3)))
    panels.legend(drawing, [panel])
    return Figure(
        "tightness",
        "Tightness of the bound by layer",
        f"Over all active features, in steps of {1 / BINS}; dashed: the bound.",
        "Bands of quantiles over layers, below the line at 1.",
        drawing,
    )
