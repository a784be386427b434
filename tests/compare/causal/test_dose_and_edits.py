from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.compare.causal.arms import Arm, Where
from l2_harness.compare.causal.dose import dose_curves, question_slopes
from l2_harness.compare.causal.edits import edit_counts, per_edit
from l2_harness.compare.causal.runs import Runs, runs_of

FACTORS = (0.75, 0.5, 0.0)


def dosed(make_rows: Any, harm: dict[Where, float], n: int = 400, seed: int = 0) -> Runs:
    """Arms that lose a share of the right answers that grows as less is kept."""
    rng = np.random.default_rng(seed)
    plain = (rng.random(n) < 0.8).astype(float)
    parts = [make_rows(Arm("plain"), plain, edits=0)]
    for where, share in harm.items():
        luck = rng.random(n)
        for factor in FACTORS:
            scores = np.where(luck < share * (1 - factor), 0.0, plain)
            parts.append(make_rows(Arm.editing(where, "scale", factor), scores, edits=2))
    (runs,) = runs_of(pd.concat(parts))
    return runs


def test_slopes_are_those_of_polyfit() -> None:
    rng = np.random.default_rng(1)
    factors = (1.0, 0.8, 0.3, 0.0)
    scores = {f: rng.random(7) for f in factors}
    found = question_slopes(factors, scores)
    for question in range(7):
        line = np.polyfit([1 - f for f in factors], [scores[f][question] for f in factors], 1)
        assert found[question] == pytest.approx(line[0])


def test_planted_trends(make_rows: Any) -> None:
    runs = dosed(make_rows, {"peaks": 0.5, "random": 0.1, "shuffled": 0.5})
    peaks, random, shuffled = dose_curves([runs])
    assert peaks.factors == (1.0, *FACTORS)
    assert peaks.points[0].value == peaks.points[0].low == 0
    assert peaks.against_peaks is None
    for curve, expected in ((peaks, -40), (random, -8), (shuffled, -40)):
        assert curve.trend.claimed
        assert curve.trend.slope.low < expected < curve.trend.slope.high
    assert random.against_peaks is not None
    assert random.against_peaks.claimed
    assert random.against_peaks.slope.value == pytest.approx(
        peaks.trend.slope.value - random.trend.slope.value
    )
    assert shuffled.against_peaks is not None
    assert not shuffled.against_peaks.claimed


def test_one_dose_makes_no_curve(make_planted: Any) -> None:
    assert dose_curves(runs_of(make_planted({"peaks": 0.2}))) == []


def test_counts(make_rows: Any) -> None:
    """Three questions by hand."""
    peaks, random = (Arm.editing(w, "scale", 0.1) for w in ("peaks", "random"))
    table = pd.concat(
        [
            make_rows(Arm("plain"), [1, 1, 1], edits=0, left=0, tokens=[10, 20, 30], changed=0),
            make_rows(
                peaks,
                [0, 1, 1],
                edits=[4, 0, 2],
                left=0,
                tokens=[40, 20, 40],
                changed=[1, 0, 1],
                truncated=[1, 0, 0],
            ),
            make_rows(random, [1, 1, 1], edits=[1, 1, 1], left=[2, 0, 1], tokens=10, changed=0),
        ]
    )
    (runs,) = runs_of(table)
    first, second = edit_counts(runs)
    assert (first.total, first.per_response.value) == (6, 2)
    assert first.per_100_tokens == pytest.approx(6)
    assert first.edited == pytest.approx(2 / 3)
    assert first.changed == pytest.approx(2 / 3)
    assert first.longer.value == pytest.approx(40 / 3)
    assert first.truncated == pytest.approx(1 / 3)
    assert first.is_matched
    assert second.ratio == pytest.approx(0.5)
    assert second.left == 3
    assert not second.is_matched


def test_points_an_edit(make_rows: Any) -> None:
    """Twice the edits at twice the cost make no difference an edit; the interval covers it."""
    rng = np.random.default_rng(2)
    n = 2000
    plain = np.ones(n)
    peaks, random = (Arm.editing(w, "scale", 0.1) for w in ("peaks", "random"))
    edits = {peaks: rng.integers(0, 5, n), random: rng.integers(0, 9, n)}
    table = [make_rows(Arm("plain"), plain, edits=0)]
    for arm, counts in edits.items():
        table.append(make_rows(arm, (rng.random(n) > 0.05 * counts).astype(float), edits=counts))
    (runs,) = runs_of(pd.concat(table))
    (found,) = per_edit(runs)
    for estimate in (found.at_peaks, found.at_control):
        assert estimate.low < -5 < estimate.high
    assert found.at_peaks.value == pytest.approx(
        100 * (runs.arms[peaks.name].scores - 1).sum() / edits[peaks].sum()
    )
    assert found.difference.value == pytest.approx(found.at_peaks.value - found.at_control.value)
    assert found.difference.low < 0 < found.difference.high


def test_no_edits_make_no_points_an_edit(make_rows: Any) -> None:
    peaks, random = (Arm.editing(w, "scale", 0.1) for w in ("peaks", "random"))
    table = [make_rows(a, [1, 0, 1], edits=0) for a in (Arm("plain"), peaks, random)]
    (runs,) = runs_of(pd.concat(table))
    (found,) = per_edit(runs)
    assert not found.difference.known
