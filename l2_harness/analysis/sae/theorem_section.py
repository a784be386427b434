"""The section on the paper's theorem: what it says, what it assumes, and what holds here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.sae.labels import with_words
from l2_harness.analysis.sae.theorem import TheoremAtLayer
from l2_harness.findings import least
from l2_harness.findings.numbers import fixed
from l2_harness.findings.section import Section, Table
from l2_harness.findings.words import count, layers, span

if TYPE_CHECKING:
    import pandas as pd

_STATEMENT = {
    "features": "k, reasoning features",
    "pairs": "of a thinking and a direct row of one question",
    "undefined": "of them, those with ‖h‖ ≤ ‖h₀‖: there the statement says nothing",
    "below": "of the others, those below N, the lower bound of the exact assumptions",
    "above": "and above √k · N, the upper one",
    "below_widened": "below N/σ_max, which the decoder's singular values leave of the lower bound",
    "above_widened": "above √k · N/σ_min",
    "needed_low": "the largest lower constant that no pair violates",
    "needed_high": "the smallest upper one",
    "low_5": "growth / N that 5 % of the pairs lie below",
    "high_95": "that 5 % lie above",
    "apart": "the upper over the lower; with exact assumptions they are √k apart",
    "ideal_apart": "√k",
    "random_apart": "the same with random features of equal frequency, the median of the draws",
}
_ASSUMPTIONS = {
    "largest_cosine": "1: of two reasoning features' decoder vectors; 0 if orthogonal",
    "sigma_min": "1: smallest singular value of their matrix; 1 if orthonormal",
    "sigma_max": "1: the largest",
    "coherence": "1: root mean square cosine of two of all features",
    "random_directions": "1: what two random directions have, 1/√d",
    "rows_unexplained": "2: mean ‖h − ĥ‖/‖h‖ of single rows; 0 if reconstructed",
    "change_unexplained": "2: of r = h − h₀, the share of its length that no feature accounts for",
    "angle": "3: between h₀ and r in degrees, the median; 90 if orthogonal",
    "angle_lowest": "3: of 5 % of the pairs",
    "angle_highest": "3: of 95 %",
    "split": "4: the reasoning features' share of all features' changes; 1 if only they change",
    "shrinking": "4: share of the reasoning features' changes that are negative; 0 if they grow",
}


def theorem_section(
    found: Sequence[TheoremAtLayer], settings: Mapping[str, Any], command: str = ""
) -> Section:
    """Of :func:`~l2_harness.analysis.sae.theorem.measure_theorem`."""
    statement, assumptions = statement_table(found), assumption_table(found)
    return Section(
        name="sae_theorem",
        title=with_words("The theorem on norms and reasoning features", settings),
        order=35,
        findings=theorem_findings(found),
        caveats=[
            "The theorem is known from a reader's report; its constants are not. The bounds here, "
            "N and √k · N, follow from its four assumptions in their exact form.",
            "Needed constants are read off these pairs: more of them can only move the constants "
            "apart, and what fits afterwards is no prediction.",
            "The upper bound is a property of any k numbers. What carries the theorem is the lower "
            "bound, and that the random features do not keep it as well.",
        ],
        settings=settings,
        command=command,
        tables=[
            Table(
                "statement",
                "N ≤ growth of the reasoning features ≤ √k · N, N = √(‖h‖² − ‖h₀‖²)",
                statement,
                "h: a row of a thinking response, h₀: one of a direct response to the same held "
                "question, drawn. Growth: Σ Δa over the reasoning features. Counts are of pairs.",
                _STATEMENT,
            ),
            Table(
                "assumptions",
                "The four assumptions, measured",
                assumptions,
                "1: decoder vectors are orthonormal. 2: states are reconstructed. 3: what thinking "
                "adds, r, is orthogonal to the base semantics h₀. 4: features split cleanly.",
                _ASSUMPTIONS,
            ),
        ],
    )


def statement_table(found: Sequence[TheoremAtLayer]) -> pd.DataFrame:
    """A row a layer: pairs outside the bounds, and the constants that none would be outside."""
    import pandas as pd

    rows = []
    for one in found:
        below, above = one.outside(one.ideal)
        below_widened, above_widened = one.outside(one.widened)
        low, high = _ends(one.ratios(one.growth))
        random = [_apart(*_ends(draw)) for draw in one.ratios(one.random)]
        rows.append(
            {
                "layer": one.layer,
                "features": one.k,
                "pairs": len(one.growth),
                "undefined": int((~one.defined).sum()),
                "below": below,
                "above": above,
                "below_widened": below_widened,
                "above_widened": above_widened,
                "needed_low": low,
                "needed_high": high,
                "low_5": _quantile(one.ratios(one.growth), 0.05),
                "high_95": _quantile(one.ratios(one.growth), 0.95),
                "apart": _apart(low, high),
                "ideal_apart": one.ideal[1],
                "random_apart": float(np.median(random)) if random else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def assumption_table(found: Sequence[TheoremAtLayer]) -> pd.DataFrame:
    """A row a layer, see :data:`_ASSUMPTIONS`."""
    import pandas as pd

    rows = []
    for one in found:
        angles = np.degrees(np.arccos(np.clip(one.cosine, -1, 1)))
        rows.append(
            {
                "layer": one.layer,
                "largest_cosine": one.largest_cosine,
                "sigma_min": one.singular[0],
                "sigma_max": one.singular[1],
                "coherence": one.coherence[0],
                "random_directions": one.coherence[1],
                "rows_unexplained": one.rows_unexplained,
                "change_unexplained": float(np.median(one.unexplained)),
                "angle": float(np.median(angles)),
                "angle_lowest": float(np.quantile(angles, 0.05)),
                "angle_highest": float(np.quantile(angles, 0.95)),
                "split": float(np.median(one.split)),
                "shrinking": one.shrinking,
            }
        )
    return pd.DataFrame(rows)


def theorem_findings(found: Sequence[TheoremAtLayer]) -> list[str]:
    """Where the statement holds, what it needs, and which assumption is furthest off."""
    few = least.reason(found[0].questions)
    if few:
        return [f"Nothing is said of the theorem: {few}."]
    table, assumed = statement_table(found), assumption_table(found)
    total = {name: int(table[name].sum()) for name in ("pairs", "undefined", "below", "above")}
    total["holds"] = total["pairs"] - total["undefined"] - total["below"] - total["above"]
    parts = {name: _percent(n, total["pairs"]) for name, n in total.items()}
    return [
        f"Of {count(total['pairs'], 'pair')} of states at {layers(table['layer'])} the statement "
        f"holds for {parts['holds']}; {parts['below']} lie below N and {parts['above']} above "
        f"√k · N, and of {parts['undefined']} it says nothing, ‖h‖ not being above ‖h₀‖.",
        _needed(table),
        f"Of the assumptions: what thinking adds is at {span(assumed['angle'], 0)} degrees to the "
        f"base semantics, features leave {span(100 * assumed['change_unexplained'], 0)} % of it "
        f"unexplained, and the reasoning features have {span(100 * assumed['split'], 0)} % of all "
        "features' changes.",
    ]


def _percent(part: int, whole: int) -> str:
    return f"{fixed(100 * part / whole, 0)} %"


def _needed(table: pd.DataFrame) -> str:
    lower = table[table["needed_low"] > 0]
    without = table.loc[~(table["needed_low"] > 0), "layer"]
    text = ""
    if len(lower):
        text = (
            f"Constants that fit every pair are a factor of {span(lower['apart'], 1)} apart "
            f"at {layers(lower['layer'])} (random features: {span(lower['random_apart'], 1)}; "
            f"exact assumptions: {fixed(float(lower['ideal_apart'].iloc[0]), 1)})."
        )
    if len(without):
        ends = table.loc[table["layer"].isin(without)]
        none = (
            f"At {layers(without)} no lower constant above 0 fits every pair: growth / N exceeds "
            f"{span(ends['low_5'], 2)} in 95 % of them and {span(ends['high_95'], 2)} in 5 %."
        )
        text = f"{text} {none}".strip()
    return text


def _ends(ratios: np.ndarray) -> tuple[float, float]:
    return (float(ratios.min()), float(ratios.max())) if len(ratios) else (np.nan, np.nan)


def _quantile(ratios: np.ndarray, q: float) -> float:
    return float(np.quantile(ratios, q)) if len(ratios) else float("nan")


def _apart(low: float, high: float) -> float:
    """How far a lower and an upper constant are apart; infinite where no lower one above 0 fits."""
    if np.isnan(low):
        return float("nan")
    return high / low if low > 0 else float("inf")
