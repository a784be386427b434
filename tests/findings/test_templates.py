"""Every sentence of a finding, at no, one, two, nine, ten and ten thousand of what it counts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from l2_harness.analysis.norms.confounds_section import beside_finding, signals_finding
from l2_harness.analysis.norms.course_section import first_finding, trend_finding
from l2_harness.analysis.norms.held_out import HeldOutChoice
from l2_harness.analysis.norms.kinds_section import side_finding
from l2_harness.analysis.norms.norms_section import all_alike, held_out_finding, scope_finding
from l2_harness.analysis.norms.profiles_section import part_finding
from l2_harness.analysis.sae.bound_section import bound_findings
from l2_harness.analysis.sae.correlate_section import correlate_findings
from l2_harness.analysis.sae.features_section import features_findings
from l2_harness.analysis.sae.quality_section import quality_finding
from l2_harness.analysis.sae.trend import Rise
from l2_harness.analysis.sae.trend_section import trend_findings
from l2_harness.analysis.selectors.selection_section import selection_findings
from l2_harness.compare.leaderboard.findings import leaderboard_findings, power_finding
from l2_harness.compare.leaderboard.options import Options
from l2_harness.compare.leaderboard.table import Board
from l2_harness.findings import least
from l2_harness.statistics.estimate import Estimate

SIZES = (0, 1, 2, 9, 10, 10_000)
NOUNS = (
    "question|response|layer|task|sample|row|document|comparison|feature|figure|activation|run|"
    "mixed question|other question|held question|chosen feature|norm figure"
)
WRONG = (
    rf"(?<![\d.,])1 (?:{NOUNS})s\b",
    rf"\b(?!1 )\d[\d,]* (?:{NOUNS})\b(?!s)",
    r"\bnan\b|\binf\b|\bNone\b|\bNaN\b",
    r"[-−]0(?:\.0+)?(?!\d|\.\d)",
    r"\d-\d|(?<!\w)-\d",
    r"\.\s+[A-Z]",
    r"  |\( |,,|;\.|\.\.|:\.",
)
#: What an interval that may be shown looks like.
INTERVAL = re.compile(r"\([+−]?[\d.]+ to [+−]?[\d.]+\)")


def estimates(n: int) -> Estimate:
    """Of so many questions; without an interval where a bootstrap has none."""
    low, high = (-0.004, 0.3) if n > 1 else (math.nan, math.nan)
    return Estimate(-0.001, low, high, n, n)


def rows(n: int, name: str = "value", null: float = 0.0, **columns: object) -> pd.DataFrame:
    """``n`` rows, of which a third is above, a third below and a third on no side."""
    side = np.arange(n) % 3 - 1
    value = null + 0.3 * side
    frame = pd.DataFrame(
        {
            "layer": np.arange(n),
            "statistic": "mean",
            "questions": n,
            name: value,
            f"{name}_low": value - 0.1,
            f"{name}_high": value + 0.1,
            "p_holm": np.where(side == 0, 0.5, 1e-5),
        }
    )
    return frame.assign(**columns)


def norms(n: int) -> list[str]:
    raw = least.kept(rows(n), n)
    choice = HeldOutChoice(
        scope="within question",
        control="none",
        controlled_for=(),
        column=0,
        in_sample=0.4,
        held_out=estimates(n),
        choosing=n,
        overstated=math.nan,
        overstated_spread=math.nan,
        splits=n,
    )
    return [
        scope_finding("pooled", raw, raw.assign(p_holm=1.0), ["length", "position"], n),
        scope_finding("within question", raw, raw, ["length"], n),
        held_out_finding(choice, "mean norm at layer 8"),
    ]


def confounds(n: int) -> list[str]:
    frame = least.kept(rows(n, null=0.5), n)
    signals = {"length": least.kept(rows(n), n), "entropy": least.kept(rows(n, p_holm=1.0), n)}
    beside = beside_finding("pooled", frame, frame.assign(covariate="prompt_tokens"))
    return [signals_finding(signals, n), *([beside] if beside else [])]


def course(n: int) -> list[str]:
    frame = least.kept(rows(12, "ratio", 1.0), n, ("ratio",), values=False)
    return [trend_finding(frame, n), *first_finding(frame.assign(row=0))]


def profiles(n: int) -> list[str]:
    frame = least.kept(rows(12, "ratio", 1.0), n, ("ratio",), values=False)
    return [part_finding("all rows", frame, n), part_finding("the rows after", frame.head(1), n)]


def kinds(n: int) -> list[str]:
    frame = rows(6, "lift", 1.0, kind=list("abcdef"), rows=n, peaks=n // 9)
    frame = least.kept(frame, n, ("lift",), values=False)
    return [side_finding("written", frame, n)]


def quality(n: int) -> list[str]:
    size = max(min(n, 40), 1)
    frame = pd.DataFrame(
        {"layer": range(size), "rows": n, "explained_variance": 0.9, "dead": -0.0 + 0.1 / size}
    )
    return [quality_finding(frame)]


def bound(n: int, violations: int = 0) -> list[str]:
    frame = pd.DataFrame(
        {"layer": [3], "active": n, "violations": violations, "q50": 0.1, "tightest": 0.4}
    )
    return bound_findings(frame)


def trend(n: int, size: int = 12) -> list[str]:
    frame = rows(size, "reasoning_over_random", 1.0)
    return trend_findings(frame, [Rise("norm", estimates(n), estimates(n))], n)


def correlate(n: int, size: int = 12) -> list[str]:
    figure: Mapping[str, float] = {"reasoning": 0.8, "reasoning_low": 0.7, "reasoning_high": 0.9}
    across = pd.DataFrame(
        [
            {
                "statistic": "norm",
                "layers": size,
                **figure,
                **dict(
                    zip(
                        ("difference", "difference_low", "difference_high"),
                        (-0.001, -0.1, 0.1),
                        strict=True,
                    )
                ),
            }
        ]
    )
    within = rows(size, "difference", statistic="norm", difference_holm=0.001)
    return correlate_findings(within, across, n)


def features(n: int) -> list[str]:
    size = max(min(n, 20), 1)
    kinds = ["reasoning"] * size + ["random"] * size
    scores = pd.DataFrame({"kind": kinds, "replicates": [n > 1] * (2 * size), "effect": 0.2})
    injected = pd.DataFrame({"word_detector": [True] + [False] * n, "questions": n})
    return features_findings(scores, injected, n)


def selection(n: int) -> list[str]:
    names = ["l2_sum", "l2_mean", "random", "majority", "oracle"]
    frame = pd.DataFrame({"selector": names, "accuracy": 50.0})
    for rival in ("random", "majority"):
        own = rows(5, f"minus_{rival}").rename(columns={"p_holm": f"minus_{rival}_p_corrected"})
        frame = frame.join(own.drop(columns=["layer", "statistic", "questions"]))
    return selection_findings(frame, n, max(n, 1))


def leaderboards(n: int) -> list[str]:
    empty = Board(model="m", task="t", questions=n)
    return [*leaderboard_findings([empty]), power_finding(empty, [3.0, 3.01], Options())]


TEMPLATES: dict[str, Callable[[int], list[str]]] = {
    "norms": norms,
    "confounds": confounds,
    "course": course,
    "profiles": profiles,
    "kinds": kinds,
    "quality": quality,
    "bound": bound,
    "violated": lambda n: bound(n, n),
    "trend": trend,
    "trend of few layers": lambda n: trend(100, min(n, 12)),
    "correlate": correlate,
    "correlate of few layers": lambda n: correlate(100, max(min(n, 12), 1)),
    "features": features,
    "selection": selection,
    "leaderboards": leaderboards,
    "all alike": lambda n: [all_alike(np.zeros(n), "acc"), all_alike(np.full(n, 0.3), "acc")],
}


def faults(text: str) -> list[str]:
    """What is wrong with a sentence; empty for nothing."""
    found = [pattern for pattern in WRONG if re.search(pattern, text)]
    if not text[:1].isupper() and not text.startswith("m, t"):
        found.append("no capital")
    return found if text.endswith(".") else [*found, "no end"]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_sentences_are_right_whatever_they_count(name: str, n: int) -> None:
    sentences = TEMPLATES[name](n)
    assert 1 <= len(sentences) <= 3
    for text in sentences:
        assert not faults(text), text
        assert len(text) < 300


@pytest.mark.parametrize("n", [n for n in SIZES if n < least.QUESTIONS])
@pytest.mark.parametrize(
    "name", ["norms", "confounds", "course", "profiles", "kinds", "trend", "features"]
)
def test_below_the_least_the_reason_stands_in_place_of_figures(name: str, n: int) -> None:
    sentences = TEMPLATES[name](n)
    assert not any(INTERVAL.search(text) for text in sentences)
    reasons = [text for text in sentences if "are needed, and there" in text]
    assert reasons or n == 0


@pytest.mark.parametrize(
    "text",
    [
        "Of 1 questions.",
        "Of 2 question.",
        "It is nan.",
        "It is −0.0.",
        "It is 0.86 (0.86-0.90).",
        "One. Two.",
    ],
)
def test_the_check_fails_on_what_it_is_for(text: str) -> None:
    assert faults(text)
