"""The section on reasoning features: which, how far they replicate, whether they are words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.injection import WORD_DETECTOR
from l2_harness.analysis.sae.words import layers_text, span
from l2_harness.findings.section import Figure, Section, Table

if TYPE_CHECKING:
    import pandas as pd

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
        findings=_findings(features, scores, injected),
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


def _findings(
    features: FeatureSet, scores: pd.DataFrame, injected: pd.DataFrame | None
) -> list[str]:
    own = scores[scores["kind"] == "reasoning"]
    random = scores[scores["kind"] == "random"]
    first = features.layers[0]
    distance = [
        np.abs(np.log2(one.random_frequency / one.frequency)).mean() for one in features.layers
    ]
    text = [
        f"At each of {layers_text(sorted(set(own['layer'])))}, the {len(first.selected)} features "
        f"with the largest {'mean difference' if features.by == 'difference' else 'effect'} were "
        f"chosen on {len(features.pairs.chosen_on)} questions that were answered both ways. On the "
        f"other {len(features.pairs.held)} questions {int(own['replicates'].sum())} of {len(own)} "
        f"are more active in thinking responses after Holm's correction; their effects are "
        f"{span(list(own['effect']))} standard deviations.",
        f"Of {len(random)} random features of the same frequency (off by a factor of "
        f"{2 ** float(np.mean(distance)):.2f} on average), {int(random['replicates'].sum())} are "
        f"more active in thinking responses too, and "
        f"{int(((random['p_holm'] < 0.05) & (random['difference'] < 0)).sum())} less.",
    ]
    if injected is not None:
        words = int(injected["word_detector"].sum())
        flagged = injected.groupby("layer")["word_detector"].sum()
        early, late = flagged.iloc[: len(flagged) // 2], flagged.iloc[len(flagged) // 2 :]
        above = int((injected["share_low"] > injected["control_high"]).sum())
        text.append(
            f"Inserted into direct responses, a feature's own tokens bring back "
            f"{injected['share'].median():.2f} of its contrast in the median "
            f"(other tokens {injected['control'].median():.2f}). {words} of {len(injected)} "
            f"features get half of it or more that way and are flagged as detectors of words"
            f"{_by_depth(early, late, len(first.selected))}; of {above} the interval lies above "
            "that of other tokens."
        )
    return text


def _by_depth(early: pd.Series[int], late: pd.Series[int], count: int) -> str:
    if not len(early):
        return ""
    return (
        f" ({int(early.sum())} of {count * len(early)} in the first half of the layers, "
        f"{int(late.sum())} of {count * len(late)} in the second)"
    )


def _contrast_figure(scores: pd.DataFrame) -> Figure:
    from l2_harness.findings.figures import BLUE, GREY, new_figure

    drawing, (axes,) = new_figure("Thinking against direct, held questions", width=7, height=3.8)
    rng = np.random.default_rng(0)
    for kind, color, marker, shift in (
        ("random", GREY, "s", 0.18),
        ("reasoning", BLUE, "o", -0.18),
    ):
        own = scores[scores["kind"] == kind]
        place = own["layer"] + shift + rng.uniform(-0.1, 0.1, len(own))
        label = f"{kind} features"
        axes.scatter(place, own["effect"], s=12, color=color, marker=marker, alpha=0.7, label=label)
    axes.axhline(0, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="layer", ylabel="effect (SDs of the paired difference)")
    axes.legend(frameon=False, fontsize=8)
    return Figure(
        "contrast",
        "Effects of reasoning and random features by layer",
        "A point a feature: mean difference between thinking and direct responses to a question, "
        "in standard deviations over questions.",
        "Points over layers, those of reasoning features beside those of random ones.",
        drawing,
    )


def _injection_figure(injected: pd.DataFrame) -> Figure:
    from l2_harness.findings.figures import GREY, ORANGE, new_figure

    drawing, (axes,) = new_figure(
        "Share of the contrast that words bring back", width=7, height=3.8
    )
    rng = np.random.default_rng(0)
    for name, color, marker, shift, label in (
        ("control", GREY, "s", 0.18, "other tokens"),
        ("share", ORANGE, "o", -0.18, "the feature's own tokens"),
    ):
        place = injected["layer"] + shift + rng.uniform(-0.1, 0.1, len(injected))
        axes.scatter(
            place,
            injected[name].clip(-0.5, 2),
            s=12,
            color=color,
            marker=marker,
            alpha=0.7,
            label=label,
        )
    axes.axhline(WORD_DETECTOR, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="layer", ylabel="share of the contrast (cut at −0.5 and 2)")
    axes.legend(frameon=False, fontsize=8)
    return Figure(
        "injected_shares",
        "The injected-token test by layer",
        "A point a reasoning feature: what part of its contrast comes back when its own tokens are "
        f"put into direct responses. From {WORD_DETECTOR} on (dashed) it counts as a detector of "
        "words.",
        "Points over layers: shares for the feature's own tokens and for other tokens.",
        drawing,
    )
