from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.power import TTestPower

from l2_harness.statistics.design import Design
from l2_harness.statistics.paired import Contrasts, differences
from l2_harness.statistics.power import (
    Spread,
    connor_questions,
    detectable,
    mcnemar_power,
    mcnemar_questions,
    needed,
    normal_questions,
)
from l2_harness.statistics.significance import mcnemar_p

#: Of a power of 0.8 in 500 data sets.
ERROR = 3.3 * math.sqrt(0.8 * 0.2 / 500)


def rejected(tables: list[np.ndarray]) -> float:
    """How many data sets (questions, 2) show a difference, each on its own."""
    values = np.stack(tables, axis=2)
    found = differences(Contrasts.of(values[:, 1], values[:, 0]), flips=400)
    return float(np.mean([one.p <= 0.05 for one in found]))


def simulated_mcnemar(n: int, share: float, difference: float, alpha: float, runs: int) -> float:
    rng = np.random.default_rng(0)
    chances = [(share + difference) / 2, (share - difference) / 2, 1 - share]
    better, worse, _ = rng.multinomial(n, chances, size=runs).T
    return float((mcnemar_p(better, worse) <= alpha).mean())


@pytest.mark.parametrize(
    ("share", "difference", "alpha"), [(0.2, 0.05, 0.05), (0.1, 0.02, 0.01), (0.05, 0.05, 0.05)]
)
def test_mcnemar_reaches_the_power_it_was_planned_for(
    share: float, difference: float, alpha: float
) -> None:
    n = mcnemar_questions(share, difference, alpha, 0.8)
    assert simulated_mcnemar(n, share, difference, alpha, 20_000) == pytest.approx(0.8, abs=0.015)
    assert simulated_mcnemar(n // 2, share, difference, alpha, 20_000) < 0.7


def test_mcnemars_exact_power_is_its_definition() -> None:
    n, share, difference = 25, 0.4, 0.2
    total = 0.0
    for discordant in range(n + 1):
        for better in range(discordant + 1):
            if mcnemar_p(better, discordant - better) <= 0.05:
                total += binom.pmf(discordant, n, share) * binom.pmf(better, discordant, 0.75)
    assert mcnemar_power(n, share, difference, 0.05) == pytest.approx(total)


def test_connors_formula_is_a_little_short_of_the_exact_test() -> None:
    """By hand: (1.96 √0.2 + 0.8416 √(0.2 − 0.05²))² / 0.05²."""
    connor = connor_questions(0.2, 0.05, 0.05, 0.8)
    assert connor == pytest.approx((1.959964 * 0.2**0.5 + 0.841621 * 0.1975**0.5) ** 2 / 0.0025)
    assert connor < mcnemar_questions(0.2, 0.05, 0.05, 0.8) < 1.15 * connor


@pytest.mark.parametrize("effect", [0.1, 0.3, 0.6])
def test_questions_for_averages_are_statsmodels(effect: float) -> None:
    n = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8)
    assert normal_questions(1.0, effect, 0.05, 0.8) == pytest.approx(n, abs=1)


def test_averages_reach_the_power_they_were_planned_for() -> None:
    """Three seeds a question, on questions that differ in difficulty and in what they gain."""
    rng, gain = np.random.default_rng(1), 0.08

    def draw(questions: int) -> np.ndarray:
        easy = rng.uniform(0.1, 0.8, questions)[:, None]
        return (rng.random((3, questions, 2)) < easy + np.array([0, gain])).mean(axis=0)

    pilot = draw(20_000)
    n = normal_questions(float((pilot[:, 1] - pilot[:, 0]).var(ddof=1)), gain, 0.05, 0.8)
    assert rejected([draw(n) for _ in range(500)]) == pytest.approx(0.8, abs=ERROR)


def test_more_seeds_reach_the_power_they_were_planned_for() -> None:
    """With the questions fixed and known, only the seeds' part of the spread can be reduced."""
    rng, questions, gain = np.random.default_rng(2), 100, 0.06
    easy = np.full((questions, 1), 0.5)

    def draw(seeds: int) -> np.ndarray:
        return (rng.random((seeds, questions, 2)) < easy + np.array([0, gain])).mean(axis=0)

    variance = (0.5 * 0.5 + 0.56 * 0.44) / 2  # of two seeds' mean difference
    found = needed(Spread(questions, variance, None, variance, 2), gain, 0.05, 0.8)
    assert found.seeds is not None
    assert math.isfinite(found.seeds)
    tables = [draw(int(found.seeds)) for _ in range(500)]
    assert rejected(tables) == pytest.approx(0.8, abs=ERROR)


def test_no_number_of_seeds_helps_where_questions_differ_in_what_they_gain() -> None:
    assert needed(Spread(50, 0.2, None, 0.0, 3), 0.02, 0.05, 0.8).seeds == math.inf
    assert needed(Spread(50, 0.2, None, None, 1), 0.02, 0.05, 0.8).seeds is None
    assert needed(Spread(50, 0.2, None, 0.1, 3), 0.9, 0.05, 0.8).seeds == 3


@pytest.mark.parametrize("discordant", [0.2, None])
def test_what_can_be_detected_needs_the_questions_at_hand(discordant: float | None) -> None:
    spread = Spread(400, 0.2, discordant)
    least = detectable(spread, 0.05, 0.8)
    assert least is not None
    assert needed(spread, least, 0.05, 0.8).questions == pytest.approx(400, rel=0.02)
    assert detectable(Spread(3, 0.2, 0.2), 0.05, 0.8) is None


def test_no_one_plans_for_millions() -> None:
    assert needed(Spread(100, 0.25, 0.25), 1e-5, 0.05, 0.8).questions is None


def test_the_variance_that_power_uses_is_that_of_resampled_tasks() -> None:
    rng = np.random.default_rng(3)
    values = (rng.random((4, 90, 2)) < 0.5).mean(axis=0)
    strata = np.repeat([0, 1], [30, 60])
    contrasts = Contrasts.of(values[:, 1:], values[:, :1], Design.of(90, strata))
    (found,) = differences(contrasts)
    by_question = values[:, 1] - values[:, 0]
    drawn = np.mean(
        [
            rng.choice(by_question[strata == task], (20_000, n)).mean(axis=1)
            for task, n in ((0, 30), (1, 60))
        ],
        axis=0,
    )
    assert math.sqrt(found.variance / 90) == pytest.approx(drawn.std(), rel=0.03)


def test_the_search_for_questions_is_fast_and_right_to_a_percent() -> None:
    start = time.process_time()
    for share in np.linspace(0.03, 0.5, 40):
        n = mcnemar_questions(float(share), 0.02, 0.01, 0.8)
        if n < 10_000:
            assert mcnemar_power(n, float(share), 0.02, 0.01) > 0.795
            assert mcnemar_power(int(n * 0.96), float(share), 0.02, 0.01) < 0.805
    assert time.process_time() - start < 5
