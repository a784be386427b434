"""The section on reasoning features: which, how far they replicate, whether they are words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.injection import WORD_DETECTOR
from l2_harness.analysis.sae.labels import LOOKS
from l2_harness.findings import least, panels
from l2_harness.findings.figures import GREY, ORANGE, new_figure
from l2_harness.findings.panels import Look
from l2_harness.findings.section import Figure, Section, Table
from l2_harness.findings.words import count, share, span

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

_MEANINGS = {
    "kind": "reasoning: chosen by contrast; random: matched in frequency",
    "frequency": "share of the thinking rows in which it is active, on the questions chosen on",
    "thinking": "mean activation in thinking responses, held questions",
    "direct": "the same in direct responses",
    "difference": "thinking minus direct, mean over held questions",
    "effect": "difference / its standard deviation over questions",
    "p": "two-sided, of the paired t test over questions",
    "p_holm": "Holm-corrected over all layers' features of that kind",
    "replicates": "p_holm < 0.05 and more active in thinking",
}
_INJECTED = {
    "share": "share of the contrast that the feature's own tokens bring back in direct responses",
    "control": "the same with other tokens of thinking responses",
    "at_tokens": "activation at the inserted tokens / at the same tokens in thinking responses",
    "word_detector": f"share ≥ {WORD_DETECTOR} and its interval excludes 0",
    "tokens": "what was inserted, strongest first; the model's own text",
}


def features_section(
    features: FeatureSet,
    scores: pd.DataFrame,
    injected: pd.DataFrame | None,
    settings: Mapping[str, Any],
    command: str = "",
) -> Section:
    """Tables of :func:`score_table` and, where the test was run, :func:`injection_table`."""
    held = len(features.pairs.held)
    scores = least.kept(scores, held, ("difference", "effect"), values=False)
    tables = [
        Table(
            "scores",
            "Chosen and random features on the held questions",
            scores,
            "Features were chosen on the other half of the questions.",
            _MEANINGS,
        )
    ]
    figures = [_contrast_figure(scores)]
    if injected is not None:
        injected = least.kept(injected, injected["questions"], ("share", "control"), values=False)
        tables.append(
            Table(
                "injected_tokens",
                "What a feature's own words bring back",
                injected,
                "Tokens on which a feature is most active in thinking responses, inserted into "
                "direct responses to held questions as densely as they stand there.",
                _INJECTED,
            )
        )
        figures.append(_injection_figure(injected))
    return Section(
        name="sae_features",
        title="Reasoning features",
        order=31,
        findings=features_findings(scores, injected, held),
        caveats=[
            "The contrast tells thinking from direct responses. A feature that is larger there may "
            "stand for words, length or form as well as for reasoning.",
            "The injected-token test shows which features fire on words alone. A feature that "
            "passes it is not thereby shown to be one of reasoning.",
            "Random features are matched in how often they fire, not in how strongly.",
        ],
        settings=settings,
        command=command,
        tables=tables,
        figures=figures,
    )


def features_findings(
    scores: pd.DataFrame, injected: pd.DataFrame | None, questions: int
) -> list[str]:
    """How many chosen and random features replicate, and how many of them are words."""
    own, random = (scores[scores["kind"] == kind] for kind in ("reasoning", "random"))
    found = [f"Whether features replicate is not shown: {least.reason(questions)}."]
    if least.enough(questions):
        found = [
            f"On {count(questions, 'held question')} "
            f"{share(int(own['replicates'].sum()), len(own), 'chosen feature')} "
            f"{_is_or_are(own)} more active in thinking responses, by {span(own['effect'])} "
            "standard deviations.",
            f"Of random features of the same frequency "
            f"{share(int(random['replicates'].sum()), len(random), 'feature')} "
            f"{_is_or_are(random)}.",
        ]
    if injected is None:
        return found
    few = least.reason(int(injected["questions"].min()))
    if few:
        return [*found, f"Whether features fire on words alone is not shown: {few}."]
    words = int(injected["word_detector"].sum())
    return [
        *found,
        f"Flagged as detectors of words: {share(words, len(injected), 'chosen feature')}, whose "
        "own tokens in direct responses bring back half of the contrast or more.",
    ]


def _is_or_are(rows: pd.DataFrame) -> str:
    return "is" if rows["replicates"].sum() < 2 else "are"


def _contrast_figure(scores: pd.DataFrame) -> Figure:
    kinds = {kind: scores[scores["kind"] == kind] for kind in ("random", "reasoning")}
    points = {
        f"{kind} features": (own["layer"], own["effect"], LOOKS[kind])
        for kind, own in kinds.items()
    }
    title = "Thinking against direct, held questions"
    return Figure(
        "contrast",
        "Effects of reasoning and random features by layer",
        "A point a feature: mean difference between thinking and direct responses to a question, "
        "in standard deviations over questions.",
        "Points over layers, those of reasoning features beside those of random ones.",
        _points(title, points, "effect (SDs of the paired difference)", 0),
    )


def _injection_figure(injected: pd.DataFrame) -> Figure:
    layer, cut = injected["layer"], injected[["control", "share"]].clip(-0.5, 2)
    points = {
        "other tokens": (layer, cut["control"], Look(GREY, "s")),
        "the feature's own tokens": (layer, cut["share"], Look(ORANGE)),
    }
    title, told = "Share of the contrast that words bring back", "share (cut at −0.5 and 2)"
    return Figure(
        "injected_shares",
        "The injected-token test by layer",
        "A point a reasoning feature: what part of its contrast comes back when its own tokens are "
        f"put into direct responses. From {WORD_DETECTOR} on (dashed) it counts as a detector of "
        "words.",
        "Points over layers: shares for the feature's own tokens and for other tokens.",
        _points(title, points, told, WORD_DETECTOR),
    )


def _points(
    title: str, of: Mapping[str, tuple[pd.Series, pd.Series, Look]], ylabel: str, level: float
) -> Drawing:
    """A point a feature beside its layer, two kinds of them side by side."""
    drawing, (panel,) = new_figure(title, width=7, height=3.8)
    for (label, (layer, values, look)), shift in zip(of.items(), (0.18, -0.18), strict=True):
        panels.scattered(panel, layer, values, look, label, shift)
    panels.level(panel, level)
    panels.layer_axis(panel)
    panel.set_ylabel(ylabel)
    panels.legend(drawing, [panel])
    return drawing
