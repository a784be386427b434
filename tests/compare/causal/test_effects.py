from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.compare.causal.arms import Arm
from l2_harness.compare.causal.effects import effects_of, plain_points
from l2_harness.compare.causal.runs import runs_of

PEAKS, RANDOM = (Arm.editing(w, "scale", 0.1) for w in ("peaks", "random"))


def test_by_hand(make_rows: Any) -> None:
    """Ten questions: peaks lose 6 of 8, random loses 1 and gains 1."""
    plain = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0])
    peaks = np.array([0, 0, 0, 0, 0, 0, 1, 1, 0, 0])
    random = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 0])
    table = pd.concat(
        [make_rows(a, s) for a, s in ((Arm("plain"), plain), (PEAKS, peaks), (RANDOM, random))]
    )
    found = effects_of(runs_of(table))
    assert [(e.family, e.run.arm.name, e.against.arm.name) for e in found] == [
        ("plain", "peaks-scale-0.1", "plain"),
        ("plain", "random-scale-0.1", "plain"),
        ("control", "peaks-scale-0.1", "random-scale-0.1"),
    ]
    assert [e.points.value for e in found] == pytest.approx([-60, 0, -60])
    assert [(e.more, e.fewer) for e in found] == [(0, 6), (1, 1), (0, 6)]
    # the six discordant pairs all on one side: 2 · (1/2)^6; the two of random never reach so far
    assert [e.points.p for e in found] == pytest.approx([2 / 64, 1, 2 / 64])
    corrected = [e.points.p_corrected for e in found]
    assert corrected == pytest.approx([2 / 64, 1, 2 / 64], abs=0.005)
    assert [e.claimed for e in found] == [True, False, True]


def test_plain_accuracy_is_wilsons() -> None:
    from scipy.stats import binomtest

    scores = np.array([1.0] * 7 + [0.0] * 13)
    run = type("Run", (), {"scores": scores})()
    found = plain_points(type("Arms", (), {"plain": run})())
    known = binomtest(7, 20).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx(
        (35, 100 * known.low, 100 * known.high)
    )


def test_correction_is_over_all_tasks_and_within_a_family(make_planted: Any) -> None:
    harm = {"peaks": 0.04, "random": 0.0}
    one = make_planted(harm, seed=1)
    both = pd.concat([one, make_planted(harm, seed=2).assign(task="u")])
    alone = {e.family: e.points for e in effects_of(runs_of(one)) if e.run.arm == PEAKS}
    together = {
        e.family: e.points
        for e in effects_of(runs_of(both))
        if e.run.arm == PEAKS and e.task == "t"
    }
    assert alone["control"].p_corrected == alone["control"].p
    assert together["plain"].p == alone["plain"].p
    assert together["plain"].p_corrected >= alone["plain"].p_corrected
    assert together["plain"].level > alone["plain"].level
    assert together["control"].p_corrected <= 2 * alone["control"].p + 0.01


def test_a_planted_effect_is_claimed_with_its_size(make_planted: Any) -> None:
    """Peaks cost 30 % of 70 % right answers, random states 5 % of them."""
    found = effects_of(runs_of(make_planted({"peaks": 0.3, "random": 0.05, "shuffled": 0.3})))
    by_pair: dict[Any, Any] = {(e.run.arm.where, e.against.arm.where): e for e in found}
    for pair, expected in {("peaks", None): -21, ("peaks", "random"): -17.5}.items():
        effect = by_pair[pair]
        assert effect.claimed
        assert effect.points.low < expected < effect.points.high
    assert not by_pair["peaks", "shuffled"].claimed


def test_equal_arms_are_claimed_to_differ_at_most_at_the_nominal_rate(make_rows: Any) -> None:
    """Three arms that lose and gain answers alike: a claim in about 5 % of 60 data sets."""
    claims = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        plain = (rng.random(80) < 0.6).astype(float)
        parts = [make_rows(Arm("plain"), plain)]
        for where in ("peaks", "random", "shuffled"):
            turned = rng.random(80) < 0.15
            scores = np.where(turned, (rng.random(80) < 0.6).astype(float), plain)
            parts.append(make_rows(Arm.editing(where, "scale", 0.1), scores))
        found = effects_of(runs_of(pd.concat(parts)), seed=seed)
        claims += any(e.claimed for e in found if e.family == "plain")
    # 60 fair draws come above 9 once in a thousand
    assert claims <= 9


def test_too_few_changed_responses_are_hopeless(make_rows: Any) -> None:
    """With one comparison six answers, all to one side, are what a claim takes."""
    plain = np.ones(50)
    for changed, hopeless in ((5, True), (6, False)):
        is_changed = np.arange(50) < changed
        scores = np.where(is_changed, 0.0, plain)
        table = pd.concat(
            [
                make_rows(Arm("plain"), plain, changed=0),
                make_rows(PEAKS, scores, changed=is_changed),
            ]
        )
        (effect,) = effects_of(runs_of(table))
        assert effect.least_p == pytest.approx(effect.points.p)
        assert effect.hopeless is hopeless
        assert effect.claimed is not hopeless


def test_not_knowing_what_changed_is_not_hopeless(make_rows: Any) -> None:
    table = pd.concat([make_rows(Arm("plain"), np.ones(9)), make_rows(PEAKS, np.ones(9))])
    (effect,) = effects_of(runs_of(table))
    assert np.isnan(effect.least_p)
    assert not effect.hopeless
