"""The section on the bound of activations by norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.bound_check import BINS, QUANTILES, BoundResult
from l2_harness.analysis.sae.words import layers_text, span
from l2_harness.findings.section import Figure, Section, Table

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
                **{f"q{100 * q:g}".replace(".", "_"): one.quantile(q) for q in QUANTILES},
                "tightest": one.tightest,
            }
            for one in results
        ]
    )


def bound_section(
    results: Sequence[BoundResult], settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Of :func:`~l2_harness.analysis.sae.bound_check.check_sae` at every layer."""
    return Section(
        name="sae_bound",
        title="Norms bound every feature",
        order=34,
        findings=_findings(results),
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
                bound_table(results),
                "Every captured row and every feature. Quantiles are of |activation| / bound over "
                "the active ones.",
                {
                    "active": "pairs of row and feature with an activation",
                    "violations": "activations beyond bound and float32 rounding; must be 0",
                    "tightest": "the largest |activation| / bound",
                },
            )
        ],
        figures=[_figure(results)],
    )


def _findings(results: Sequence[BoundResult]) -> list[str]:
    violations = sum(one.violations for one in results)
    active = sum(one.active for one in results)
    pairs = sum(one.rows * one.features for one in results)
    where = layers_text([one.layer for one in results])
    if violations:
        bad = ", ".join(f"layer {r.layer} ({r.violations})" for r in results if r.violations)
        return [
            f"VIOLATED: {violations} of {active} activations exceed ‖w‖‖h‖ + b, at {bad}. The "
            "encoder that ran is not the one whose weights were read, or its bound is wrong; no "
            "figure of these SAEs can be trusted."
        ]
    medians = [one.quantile(0.5) for one in results if one.active]
    tightest = max(one.tightest for one in results)
    return [
        f"None of {active} activations ({pairs} pairs of row and feature, {where}) exceeds "
        f"‖w‖‖h‖ + b.",
        f"The bound is loose: half of the activations lie below {span(medians)} of it, by layer. "
        f"The closest comes to {tightest:.3f}, so that an encoder scaled by more than "
        f"{1 / max(tightest, 1e-9):.2f} would have been noticed.",
    ]


def _figure(results: Sequence[BoundResult]) -> Figure:
    import numpy as np

    from l2_harness.findings.figures import BLUE, GREY, ORANGE, SKY, new_figure

    drawing, (axes,) = new_figure("How much of the bound activations use", width=7, height=3.8)
    layers = [one.layer for one in results]
    wide = ((0.05, 0.95, SKY), (0.25, 0.75, BLUE))
    for low, high, color in wide:
        axes.fill_between(
            layers,
            [one.quantile(low) for one in results],
            [one.quantile(high) for one in results],
            color=color,
            alpha=0.35,
            label=f"{100 * low:.0f} % to {100 * high:.0f} %",
            step="mid" if len(layers) == 1 else None,
        )
    axes.plot(
        layers, [one.quantile(0.5) for one in results], color=BLUE, marker="o", label="median"
    )
    tightest = np.array([one.tightest for one in results])
    axes.plot(layers, tightest, color=ORANGE, marker="^", linestyle=":", label="closest")
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.text(layers[0], 1.01, "bound", fontsize=8, color=GREY)
    axes.set(xlabel="layer", ylabel="|activation| / (‖w‖‖h‖ + b)")
    axes.set_ylim(0, max(1.08, min(float(tightest.max()) * 1.05, 3)))
    axes.legend(frameon=False, fontsize=8)
    return Figure(
        "tightness",
        "Tightness of the bound by layer",
        f"Over all active features, in steps of {1 / BINS}.",
        "Bands of quantiles over layers, well below the line at 1.",
        drawing,
    )
