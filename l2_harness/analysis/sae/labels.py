"""How the sections on features call what they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2_harness.findings.figures import BLUE, GREEN, GREY
from l2_harness.findings.panels import Look

#: Of the statistics that are correlated with features.
STATISTIC_WORDS = {
    "norm": "norm",
    "entropy": "output entropy",
    "margin": "logit margin",
    "change": "hidden-state change",
    "hidden_entropy": "hidden entropy",
    "lens_entropy": "layer output entropy",
    "attention_entropy": "attention entropy",
}
#: Of what has a mean at each layer.
MEAN_WORDS = {"reasoning": "reasoning features", "random": "random features", "norm": "norm"}
LOOKS = {"random": Look(GREY, "s"), "reasoning": Look(BLUE, "o"), "norm": Look(GREEN, "^")}


def with_words(title: str, settings: Mapping[str, Any]) -> str:
    """A title that says when detectors of words were left out."""
    return f"{title}, detectors of words left out" if settings.get("without_words") else title
