"""The section on whether norms follow reasoning features, beside what else might."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.correlate import PAPER, STATISTICS
from l2_harness.analysis.sae.words import of_row, span, with_words
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {
    "norm": "norm",
    "entropy": "output entropy",
    "margin": "logit margin",
    "change": "hidden-state change",
}
_PAIR = {
    "reasoning": "Spearman with the mean activation of the reasoning features",
    "random": "the same with random features of equal frequency, mean over draws",
    "random_lowest": "of the draws",
    "random_highest": "of the draws",
    "difference": "reasoning − random; the interval is over questions and draws",
}
_WITHIN = {
    **_PAIR,
    "reasoning_partial": "with the row's position taken out",
    "random_partial": "with the row's position taken out",
    "difference_p": "two-sided, of the standard error over questions and draws",
    "difference_holm": "Holm-corrected over layers × statistics",
}


def correlate_section(
    within: pd.DataFrame, across: pd.DataFrame, settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Of :func:`within_layers` and :func:`across_layers`."""
    return Section(
        name="sae_correlate",
        title=with_words("Norms and reasoning features", settings),
        order=33,
        findings=_findings(within, across),
        caveats=[
            "A feature's activation is at most ‖w‖‖h‖ + b, so a norm correlates with any feature "
            "that is often active. What counts is the difference from random features of the same "
            "frequency.",
            "The features were chosen because they are larger in thinking responses; they may be "
            "detectors of words (see the injected-token test).",
            "Across layers: over a few points Spearman's coefficient takes few values, and both "
            "sides may grow with depth. The intervals are over questions, not over layers.",
            "The paper's figures are of other models and other SAEs.",
        ],
        settings=settings,
        command=command,
        tables=[
            Table(
                "within_layers",
                "Within each layer, over rows of thinking responses to held questions",
                within,
                "Spearman's correlations, question-clustered 95 % intervals.",
                _WITHIN,
            ),
            Table(
                "across_layers",
                "Across layers, of layer means",
                across,
                "As the paper correlates; intervals from resampling questions.",
                _PAIR,
            ),
            _beside_the_paper(within, across),
        ],
        figures=[_figure(within)],
    )


def _beside_the_paper(within: pd.DataFrame, across: pd.DataFrame) -> Table:
    import pandas as pd

    rows = []
    for name in STATISTICS:
        own = within.loc[within["statistic"] == name, "reasoning"]
        here = across.loc[across["statistic"] == name, "reasoning"]
        low, high = PAPER.get(name, (float("nan"), float("nan")))
        rows.append(
            {
                "statistic": _NAMES[name],
                "paper_lowest": low,
                "paper_highest": high,
                "across_layers": float(here.iloc[0]) if len(here) else float("nan"),
                "within_lowest": own.min(),
                "within_median": own.median(),
                "within_highest": own.max(),
            }
        )
    return Table(
        "beside_the_paper",
        "Beside the paper's figures",
        pd.DataFrame(rows),
        "The paper (arXiv 2606.06188) reports, over four models, 0.841 to 0.876 for the norm, "
        "0.521 to 0.635 for output entropy and negative values for three other statistics, which "
        "are not known to be the ones here. Entropy and margin have no value of their own at a "
        "layer.",
    )


def _findings(within: pd.DataFrame, across: pd.DataFrame) -> list[str]:
    text = []
    norm_across = across[across["statistic"] == "norm"].iloc[0]
    if norm_across["layers"] >= 3:
        text.append(
            f"Across {int(norm_across['layers'])} layers the mean norm and the mean activation of "
            f"the reasoning features have Spearman {of_row(norm_across, 'reasoning')}; the paper "
            f"has {PAPER['norm'][0]} to {PAPER['norm'][1]}. Draws of as many random features of "
            f"the same frequency have {norm_across['random']:.2f} on average and "
            f"{norm_across['random_lowest']:.2f} to {norm_across['random_highest']:.2f} each; the "
            f"difference is {of_row(norm_across, 'difference')}{_verdict(norm_across)}."
        )
    for name in STATISTICS:
        own = within[within["statistic"] == name]
        significant = own[own["difference_holm"] < 0.05]
        larger = int((significant["difference"] > 0).sum())
        smaller = int((significant["difference"] < 0).sum())
        best = own.loc[own["reasoning"].abs().idxmax()]
        text.append(
            f"Within layers, over rows: {_NAMES[name]} has Spearman {span(list(own['reasoning']))} "
            f"with the reasoning features (strongest at layer {int(best['layer'])}, "
            f"{of_row(best, 'reasoning')}; with the position taken out "
            f"{of_row(best, 'reasoning_partial')}) and {span(list(own['random']))} with random "
            f"ones. After Holm's correction the coefficient is larger than with random ones at "
            f"{larger} of {len(own)} layers, smaller at {smaller}."
        )
    return text


def _verdict(row: Any) -> str:
    """What a difference says, in words."""
    if row["difference_low"] > 0:
        return ", larger than with random features"
    if row["difference_high"] < 0:
        return ", smaller than with random features"
    return ": no more than with random features, as far as can be told"


def _figure(within: pd.DataFrame) -> Figure:
    from l2_harness.findings.figures import BLUE, GREY, new_figure

    drawing, panels = new_figure(
        "Within layers, rows of thinking responses", 4, width=3.1, height=3.4
    )
    for axes, name in zip(panels, STATISTICS, strict=True):
        own = within[within["statistic"] == name]
        for column, color, marker in (("random", GREY, "s"), ("reasoning", BLUE, "o")):
            error = [own[column] - own[f"{column}_low"], own[f"{column}_high"] - own[column]]
            label = f"{column} features"
            axes.errorbar(
                own["layer"], own[column], error, color=color, marker=marker, ms=4, label=label
            )
        axes.fill_between(
            own["layer"], own["random_lowest"], own["random_highest"], color=GREY, alpha=0.2
        )
        axes.axhline(0, color="black", linewidth=0.8, linestyle="--")
        axes.locator_params(axis="x", integer=True)
        axes.set(title=_NAMES[name], xlabel="layer", ylim=(-1, 1))
    panels[0].set_ylabel("Spearman's correlation")
    panels[0].legend(frameon=False, fontsize=7)
    return Figure(
        "by_layer",
        "Correlation with reasoning and with random features",
        "A panel a statistic. Bars: question-clustered 95 % intervals, mostly smaller than the "
        "marks. Grey band: the range of the draws of random features.",
        "Four line plots over layers of correlations with reasoning and random features.",
        drawing,
    )
