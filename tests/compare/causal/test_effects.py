from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.compare.causal.arms import Arm
from l2_harness.compare.causal.effects import effects_of, paired_p
from l2_harness.compare.causal.intervals import means_of
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
    # the six discordant pairs all on one side: 2 · (1/2)^6; two of the plain family's are corrected
    assert [e.p for e in found] == pytest.approx([2 / 64, 1, 2 / 64])
    assert [e.p_holm for e in found] == pytest.approx([4 / 64, 1, 2 / 64])
    assert [e.claimed for e in found] == [False, False, True]


def test_p_and_interval_against_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    rng = np.random.default_rng(3)
    first, second = (rng.random((2, 400)) < [[0.6], [0.5]]).astype(float)
    counts = [[((first == a) & (second == b)).sum() for b in (1, 0)] for a in (1, 0)]
    assert paired_p(first, second) == pytest.approx(mcnemar(counts, exact=True).pvalue)
    (points,) = means_of([first - second], 100, resamples=4000)
    error = 100 * (first - second).std(ddof=1) / 20
    assert points.value == pytest.approx(100 * (first.mean() - second.mean()))
    assert points.low == pytest.approx(points.value - 1.96 * error, abs=0.5)
    assert points.high == pytest.approx(points.value + 1.96 * error, abs=0.5)


def test_means_of_several_responses_get_random_signs() -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(4)
    first = rng.integers(0, 9, 60) / 8
    second = np.clip(first + rng.integers(-1, 3, 60) / 8, 0, 1)
    assert paired_p(first, first) == 1
    other = permutation_test(
        (first, second),
        lambda a, b, axis: (a - b).mean(axis),
        permutation_type="samples",
        n_resamples=9999,
        vectorized=True,
        rng=1,
    )
    assert paired_p(first, second) == pytest.approx(other.pvalue, abs=0.01)


def test_holm_is_over_all_tasks_and_within_a_family(make_planted: Any) -> None:
    harm = {"peaks": 0.04, "random": 0.0}
    one = make_planted(harm, seed=1)
    both = pd.concat([one, make_planted(harm, seed=2).assign(task="u")])
    alone = {e.family: e for e in effects_of(runs_of(one)) if e.run.arm == PEAKS}
    together = {
        e.family: e for e in effects_of(runs_of(both)) if e.run.arm == PEAKS and e.task == "t"
    }
    assert alone["plain"].p_holm == pytest.approx(min(1, 2 * alone["plain"].p))
    assert alone["control"].p_holm == pytest.approx(alone["control"].p)
    assert together["plain"].p_holm > alone["plain"].p_holm
    assert together["control"].p_holm <= 2 * alone["control"].p


def test_a_planted_effect_is_claimed_with_its_size(make_planted: Any) -> None:
    """Peaks cost 30 % of 70 % right answers, random states 5 % of them."""
    found = effects_of(runs_of(make_planted({"peaks": 0.3, "random": 0.05, "shuffled": 0.3})))
    by_pair: dict[Any, Any] = {(e.run.arm.where, e.against.arm.where): e for e in found}
    for pair, expected in {("peaks", None): -21, ("peaks", "random"): -17.5}.items():
        effect = by_pair[pair]
        assert effect.claimed
        assert effect.points.low < expected < effect.points.high
    assert not by_pair["peaks", "shuffled"].claimed


def test_equal_arms_are_claimed_to_differ_at_most_at_the_nominal_rate(
    make_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three arms that lose and gain answers alike, over 200 seeds: a claim in at most 5 %."""
    # statsmodels collects garbage in each correction, which takes 0.1 s in a large process
    monkeypatch.setattr("gc.collect", lambda: 0)
    claims = 0
    places = ("peaks", "random", "shuffled")
    for seed in range(200):
        rng = np.random.default_rng(seed)
        plain = (rng.random(80) < 0.6).astype(float)
        parts = [make_rows(Arm("plain"), plain)]
        for where in places:
            turned = rng.random(80) < 0.15
            scores = np.where(turned, (rng.random(80) < 0.6).astype(float), plain)
            parts.append(make_rows(Arm.editing(where, "scale", 0.1), scores))  # type: ignore[arg-type]
        found = effects_of(runs_of(pd.concat(parts)), resamples=200, seed=seed)
        claims += any(e.claimed for e in found if e.family == "plain")
    assert claims / 200 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


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
        assert effect.least_p == pytest.approx(effect.p)
        assert effect.hopeless is hopeless
        assert effect.claimed is not hopeless


def test_not_knowing_what_changed_is_not_hopeless(make_rows: Any) -> None:
    table = pd.concat([make_rows(Arm("plain"), np.ones(9)), make_rows(PEAKS, np.ones(9))])
    (effect,) = effects_of(runs_of(table))
    assert np.isnan(effect.least_p)
    assert not effect.hopeless
