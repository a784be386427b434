"""The section on whether norms follow reasoning features, beside what else might."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.correlate import PAPER, STATISTICS
from l2_harness.analysis.sae.labels import LOOKS, MEAN_WORDS, STATISTIC_WORDS, with_words
from l2_harness.findings import least, panels
from l2_harness.findings.claims import groups, signs
from l2_harness.findings.figures import GREY, new_grid
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import count, of_row, share

if TYPE_CHECKING:
    import pandas as pd

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
    "difference_holm": "corrected over layers × statistics",
}
_FIGURES = ("reasoning", "random", "reasoning_partial", "random_partial", "difference")


def correlate_section(
    within: pd.DataFrame,
    across: pd.DataFrame,
    questions: int,
    settings: Mapping[str, Any],
    command: str = "",
) -> Section:
    """Of :func:`within_layers` and :func:`across_layers`, of so many held questions."""
    within = least.kept(within, questions, _FIGURES)
    across = least.kept(
        least.kept(across, across["layers"], _FIGURES, noun="layer"), questions, _FIGURES
    )
    figure = _figure(within)
    return Section(
        name="sae_correlate",
        title=with_words("Norms and reasoning features", settings),
        order=33,
        findings=correlate_findings(within, across, questions),
        caveats=[
            "A feature's activation is at most ‖w‖‖h‖ + b, so a norm correlates with any feature "
            "that is often active. What counts is the difference from random features of the same "
            "frequency.",
            "The features were chosen because they are larger in thinking responses; they may be "
            "detectors of words (see the injected-token test).",
            "Across layers: over a few points Spearman's coefficient takes few values, and both "
            "sides may grow with depth. The intervals are over questions, not over layers.",
            "The paper's figures are of other models and other SAEs. How it defines a layer's "
            "hidden, output and attention entropy is not known. Here: of the shares h_j²/‖h‖² of a "
            "state's components; of what final norm and head make of it (logit lens); of a row's "
            "attention weights, the mean over heads.",
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
        figures=[] if figure is None else [figure],
    )


def _there(within: pd.DataFrame) -> list[str]:
    """The statistics that were captured, in order."""
    return [name for name in STATISTICS if (within["statistic"] == name).any()]


def _beside_the_paper(within: pd.DataFrame, across: pd.DataFrame) -> Table:
    import pandas as pd

    rows = []
    for name in _there(within):
        own = within.loc[within["statistic"] == name, "reasoning"]
        here = across.loc[across["statistic"] == name, "reasoning"]
        low, high = PAPER.get(name, (float("nan"), float("nan")))
        rows.append(
            {
                "statistic": STATISTIC_WORDS[name],
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
        "As reported by a reader of the paper (arXiv 2606.06188), over four models; of the three "
        "entropies of a layer together −0.72 to −0.20. Output entropy and margin have no value of "
        "their own at a layer. A statistic that was not captured (l2-harness capture --entropies) "
        "is left out.",
    )


def correlate_findings(within: pd.DataFrame, across: pd.DataFrame, questions: int) -> list[str]:
    """Across layers and within them: with reasoning features, and beyond random ones."""
    few = least.reason(questions)
    if few:
        return [f"No correlation is shown: {few}."]
    norm = across[across["statistic"] == "norm"].iloc[0]
    n_layers = int(norm["layers"])
    found = [f"Across layers no correlation is shown: {least.reason(n_layers, 'layer')}."]
    if least.enough(n_layers, "layer"):
        found = [
            f"Across {count(n_layers, 'layer')} norm and reasoning features have Spearman "
            f"{of_row(norm, 'reasoning')}, {of_row(norm, 'difference', sign=True)} beyond random "
            f"features; the paper has {PAPER['norm'][0]} to {PAPER['norm'][1]}."
        ]
    own = within[within["statistic"] == "norm"]
    larger, smaller, _ = groups(own, "layer", "difference", p="difference_holm")
    return [
        *found,
        f"Within layers the norm's coefficient with reasoning features is larger than with random "
        f"ones at {share(len(larger), len(own), 'layer')} and smaller at {len(smaller) or 'none'}.",
    ]


def _figure(within: pd.DataFrame) -> Figure | None:
    if not within["reasoning"].notna().any():
        return None
    names = _there(within)
    drawing, axes = new_grid(
        "Within layers, rows of thinking responses", len(names), 4, width=3.1, height=3.4
    )
    for panel, name in zip(axes, names, strict=True):
        own = within[within["statistic"] == name]
        claimed = {"random": None, "reasoning": signs(own, "difference", p="difference_holm") != 0}
        for kind, marks in claimed.items():
            how = {"claimed": marks, "bars": True}
            panels.line(panel, own, "layer", kind, LOOKS[kind], MEAN_WORDS[kind], **how)
        ends = (own["random_lowest"], own["random_highest"])
        panel.fill_between(own["layer"], *ends, color=GREY, alpha=0.2)
        panels.level(panel, 0)
        panels.layer_axis(panel)
        panel.set(title=STATISTIC_WORDS[name], ylim=(-1, 1))
    axes[0].set_ylabel("Spearman's correlation")
    panels.legend(drawing, axes)
    return Figure(
        "by_layer",
        "Correlation with reasoning and with random features",
        "A panel a statistic. Bars: question-clustered 95 % intervals, mostly smaller than the "
        "marks. Grey band: the range of the draws of random features. A filled mark of reasoning "
        "features differs from random ones after correction.",
        "Line plots over layers of correlations with reasoning and random features.",
        drawing,
    )
