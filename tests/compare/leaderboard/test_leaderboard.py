from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from l2_harness.compare.leaderboard import Board, Options, Row, leaderboard
from l2_harness.compare.leaderboard.findings import leaderboard_findings, verdict_text
from l2_harness.compare.leaderboard.frames import leaderboard_frame, power_frame
from l2_harness.compare.leaderboard.places import rank_groups
from l2_harness.compare.leaderboard.sections import _caption
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.outcomes import Aggregate, Cost, Outcome

OPTIONS = Options(flips=2000)
Made = Callable[..., list[Outcome]]


def outcome(method: str, scores: Any, **changes: Any) -> Outcome:
    named = dict(scores) if isinstance(scores, dict) else None
    named = named if named is not None else {f"q{i}": float(s) for i, s in enumerate(scores)}
    settings: dict[str, Any] = {"model": "m", "task": "t", "metric": "acc,none", "seed": 0}
    return Outcome(**{**settings, "method": method, "scores": named, **changes})


def board(outcomes: list[Outcome], place: int = 0) -> Board:
    return leaderboard(outcomes, OPTIONS).boards[place]


def row(found: Board, method: str) -> Row:
    return next(one for one in found.rows if one.method == method)


def words(found: Board, method: str) -> str:
    return verdict_text(found, row(found, method))


def test_planted_methods_are_found_and_equal_ones_tie(made: Made) -> None:
    gains = {"good": 0.25, "bad": -0.25, "same": 0.0, "null": 0.0}
    found = board(made(np.random.default_rng(0), gains, questions=400))
    assert {one.method: one.verdict for one in found.rows} == {
        "good": "better",
        "plain": "plain",
        "same": "not shown",
        "null": "null",
        "bad": "worse",
    }
    assert (row(found, "good").rank, row(found, "good").tied) == (1, False)
    assert {(row(found, m).rank, row(found, m).tied) for m in ("plain", "same", "null")} == {
        (2, True)
    }
    assert (row(found, "bad").rank, row(found, "bad").tied) == (5, False)
    assert found.family == 3
    frame = leaderboard_frame(found).set_index("method")
    assert 20 < frame["difference"]["good"] < 30
    first, *others = leaderboard_findings([found])
    assert first == ("After correction 1 of 3 comparisons with plain is better, and 1 worse.")
    assert "good by +2" in others[0]
    assert "bad by −2" in others[1]
    null = row(found, "null").difference
    assert null is not None
    assert found.null == abs(null.value)
    assert frame["null"]["good"] == pytest.approx(100 * found.null)


def test_the_order_of_outcomes_and_of_questions_changes_nothing(made: Made) -> None:
    rng = np.random.default_rng(1)
    outcomes = made(rng, {"a": 0.1, "b": -0.1}, questions=90, seeds=2)
    turned = [
        outcome(o.method, dict(reversed(list(o.scores.items()))), seed=o.seed, role=o.role)
        for o in reversed(outcomes)
    ]
    one, other = board(outcomes), board(turned)
    for mine in one.rows:
        theirs = row(other, mine.method)
        assert (mine.rank, mine.verdict, mine.score) == (theirs.rank, theirs.verdict, theirs.score)
        if mine.difference is not None:
            assert theirs.difference is not None
            assert mine.difference.low == pytest.approx(theirs.difference.low)
            assert mine.difference.p == pytest.approx(theirs.difference.p)


def test_less_is_better_where_the_metric_says_so() -> None:
    rng = np.random.default_rng(2)
    base = rng.gamma(3, 2, 100)
    lower, higher = base - rng.uniform(0, 1, 100), base + rng.uniform(0, 1, 100)
    found = board(
        [
            outcome("plain", base, role="plain", higher_is_better=False),
            outcome("lower", lower, higher_is_better=False),
            outcome("higher", higher, higher_is_better=False),
        ]
    )
    assert [one.method for one in found.rows] == ["lower", "plain", "higher"]
    assert [one.verdict for one in found.rows] == ["better", "plain", "worse"]
    assert not found.percent
    assert any("of the metric" in text for text in leaderboard_findings([found]))


def test_places_follow_leaders() -> None:
    """a–c can't be told from a; d can, and leads; e can't be told from d, though from c neither."""
    differing = {frozenset("ad"), frozenset("ae"), frozenset("bd"), frozenset("be")}
    places = rank_groups("abcde", lambda one, other: frozenset((one, other)) in differing)
    assert places == {
        **dict.fromkeys("abc", (1, True)),
        **dict.fromkeys("de", (4, True)),
    }


def test_seeds_are_averaged_and_their_spread_is_shown() -> None:
    found = board(
        [
            outcome("plain", [1, 1, 0, 0], role="plain", seed=1),
            outcome("plain", [1, 0, 0, 0], role="plain", seed=2),
            outcome("plain", [1, 1, 1, 0], role="plain", seed=3),
            outcome("a", [1, 1, 1, 1]),
        ]
    )
    plain = row(found, "plain")
    assert plain.score is not None
    assert plain.seeds is not None
    assert plain.score.value == pytest.approx(0.5)
    assert (plain.seeds.seeds, plain.seeds.low, plain.seeds.high) == (3, 0.25, 0.75)
    assert plain.seeds.sd == pytest.approx(0.25)
    # Questions 2 and 3 vary: 1, 0, 1 and 0, 0, 1 have variance 1/3 each.
    assert plain.seeds.within == pytest.approx((1 / 3 + 1 / 3) / 4)
    difference = row(found, "a").difference
    assert difference is not None
    assert difference.test == "sign-flip"


def test_failed_and_unpaired_rows_stand_apart_from_every_test(made: Made) -> None:
    outcomes = made(np.random.default_rng(3), {"a": 0.1})
    failed = outcome("broken", {}, error="out of [memory]")
    unpaired = outcome("theirs", {}, aggregate=Aggregate(0.91, 0.02, 500))
    with_them, alone = board([*outcomes, failed, unpaired]), board(outcomes)
    assert [one.method for one in with_them.rows][-2:] == ["theirs", "broken"]
    assert row(with_them, "a").difference == row(alone, "a").difference
    assert with_them.family == 1
    theirs, broken = row(with_them, "theirs"), row(with_them, "broken")
    assert (theirs.unpaired, theirs.rank, theirs.difference) == (True, None, None)
    assert theirs.score is not None
    assert (theirs.score.low, theirs.score.high) == pytest.approx((0.8708, 0.9492), abs=1e-4)
    assert (broken.verdict, broken.score, broken.rank) == ("failed", None, None)
    assert words(with_them, "broken") == "failed: out of [memory]"
    assert "not compared" in words(with_them, "theirs")


def test_a_method_of_which_one_seed_failed_has_the_others(made: Made) -> None:
    outcomes = made(np.random.default_rng(4), {"a": 0.1}, seeds=2)
    found = board([*outcomes, outcome("a", {}, seed=7, error="killed")])
    assert row(found, "a").score is not None
    assert row(found, "a").errors == ["seed 7: killed"]
    assert "1 run failed: seed 7: killed" in words(found, "a")


def test_without_plain_nothing_is_compared_with_it(made: Made) -> None:
    outcomes = [o for o in made(np.random.default_rng(5), {"a": 0.9, "b": 0}) if o.role != "plain"]
    found = board([*outcomes, outcome("plain", {}, role="plain", error="no weights")])
    assert {one.verdict for one in found.rows} == {"not compared", "failed"}
    assert [row(found, m).rank for m in ("a", "b")] == [1, 2]
    assert found.plain is None
    assert leaderboard_findings([found]) == ["Nothing is compared with a plain run."]


def test_plain_once_more_is_all_that_there_is() -> None:
    """As in a suite of batch sizes: the second run differs by one question of forty."""
    scores = [1, 0] * 20
    again = {"same": scores, "other": [0, *scores[1:]]}
    found = board(
        [
            outcome("plain", scores, role="plain"),
            *(outcome(name, own, role="null") for name, own in again.items()),
        ]
    )
    assert leaderboard_findings([found]) == [
        "Plain once more, in 2 runs, moves by −2.5 to 0.0 points."
    ]
    assert "Differences of 2 null runs to plain" in _caption(found)


def test_runs_with_different_questions_are_put_on_the_common_ones() -> None:
    scores = {f"q{i}": float(i % 2) for i in range(20)}
    fewer = {f"q{i}": 1.0 for i in range(5, 25)}
    found = board([outcome("plain", scores, role="plain"), outcome("a", fewer)])
    assert found.questions == 15
    (note,) = found.notes
    assert "plain (seed 0) 20, a (seed 0) 20" in note
    assert "of the 15 that every run has" in note
    score = row(found, "plain").score
    assert score is not None
    assert score.value == pytest.approx(8 / 15)


def test_what_cannot_be_compared_stands_apart_and_the_others_are_compared() -> None:
    plain = outcome("plain", [1, 0, 1], role="plain")
    others = [
        outcome("strange", {"x": 1.0}, seed=None),
        outcome("f1", [1, 1, 1], metric="f1,none"),
        outcome("a", [1, 1, 1]),
    ]
    alone, together = board([plain, others[-1]]), board([*others, plain])
    assert row(together, "a").difference == row(alone, "a").difference
    assert together.questions == 3
    assert {one.method for one in together.rows if one.verdict == "not compared"} == {
        *("strange", "f1")
    }
    assert "not compared: it has no question in common" in words(together, "strange")
    assert "not compared: its metric is f1,none, here it is acc,none" in words(together, "f1")
    assert together.percent


def test_mistakes_of_who_made_the_outcomes_are_refused() -> None:
    plain = outcome("plain", [1, 0], role="plain")
    with pytest.raises(ConfigError, match="two runs of a with seed 0"):
        board([plain, outcome("a", [1, 1]), outcome("a", [1, 0])])
    with pytest.raises(ConfigError, match="plain and other both have the role plain"):
        board([plain, outcome("other", [1, 1], role="plain")])
    with pytest.raises(ConfigError, match="a is both method and control"):
        board([plain, outcome("a", [1, 1]), outcome("a", [1, 1], seed=1, role="control")])
    with pytest.raises(ConfigError, match="no outcomes"):
        leaderboard([])


def test_the_average_counts_tasks_the_same_and_leaves_out_what_has_no_share(made: Made) -> None:
    rng = np.random.default_rng(6)
    outcomes = made(rng, {"a": 0.3}, 50, task="t") + made(rng, {"a": 0.3}, 150, task="u")
    outcomes += [
        outcome(m, rng.gamma(2, 3, 30), task="ppl", role=r, higher_is_better=False)
        for m, r in (("plain", "plain"), ("a", "method"))
    ]
    outcomes.append(outcome("b", rng.random(50) < 0.5, task="t"))
    outcomes.append(outcome("b", {}, task="u", error="killed"))
    average, t, u, ppl = leaderboard(outcomes, OPTIONS).boards
    assert (average.task, average.tasks, average.questions) == ("average", ["t", "u"], 200)
    scores = [row(one, "a").score for one in (average, t, u)]
    values = [score.value for score in scores if score is not None]
    assert values[0] == pytest.approx((values[1] + values[2]) / 2)
    assert "Not in the average: b, without scores on u." in average.notes
    assert any(note.startswith("Not in the average: ppl") for note in average.notes)
    assert row(average, "a").verdict == "better"
    assert not ppl.percent


def test_an_average_needs_two_methods_or_no_more_than_one(made: Made) -> None:
    rng = np.random.default_rng(9)
    t, u = (made(rng, {"a": 0.1}, 30, task=task) for task in "tu")
    alone = [o for o in u if o.method == "plain"]
    assert [b.task for b in leaderboard([*t, *alone], OPTIONS).boards] == ["t", "u"]
    plains = [o for o in [*t, *u] if o.method == "plain"]
    assert [b.task for b in leaderboard(plains, OPTIONS).boards] == ["average", "t", "u"]


def test_a_task_on_which_everything_failed_is_shown() -> None:
    found = board([outcome(m, {}, error="no weights") for m in ("a", "b")])
    assert [(one.method, one.verdict) for one in found.rows] == [("a", "failed"), ("b", "failed")]
    assert (found.questions, found.plain) == (0, None)


def test_costs_stand_beside_plains(made: Made) -> None:
    def cost(tokens: int, seconds: float, extra: int, peak: int, **passes: int) -> Cost:
        return Cost(seconds, tokens, 1, extra, 10, peak, **passes)

    found = board(
        [
            outcome("plain", [1, 0], role="plain", cost=cost(100, 10, 0, 5)),
            outcome("a", [1, 1], cost=cost(110, 20, 50, 6, passes=50, accepted=5), seed=0),
            outcome("a", [1, 1], cost=cost(90, 20, 150, 7, passes=150, accepted=35), seed=1),
            outcome("b", [1, 1]),
        ]
    )
    a, plain, b = (row(found, m).cost for m in ("a", "plain", "b"))
    assert (a.tokens, a.seconds, a.peak_bytes) == (100, 20, 7)
    assert a.extra_share == pytest.approx(100 / 1000)
    assert a.extra_a_token == pytest.approx(1)
    assert a.accepted_share == pytest.approx(40 / 200)
    assert plain.accepted_share is None
    assert (a.compute, a.speed, a.time) == pytest.approx((1.1, 0.5, 2))
    assert (plain.compute, plain.speed) == (1, 1)
    assert not b.known


@dataclass(frozen=True)
class Published:
    pattern: str
    value: float
    baseline: float | None = None


def test_published_figures_stand_beside_ours(made: Made) -> None:
    outcomes = made(np.random.default_rng(7), {"a": 0.1, "b": 0.1})
    published = [Published("m/t/a", 61.5), Published("*/*/[ab]", 9.0), Published("t/b", 1.0)]
    found = leaderboard(outcomes, OPTIONS, published).boards[0]
    assert [row(found, m).published for m in ("a", "b", "plain")] == [61.5, 9.0, None]
    assert "published_gain" not in leaderboard_frame(found)
    with_plain = [Published("m/t/a", 70.0, 60.0), Published("m/t/b", 9.0)]
    found = leaderboard(outcomes, OPTIONS, with_plain).boards[0]
    frame = leaderboard_frame(found).set_index("method")
    assert frame["published_gain"].to_dict()["a"] == pytest.approx(10)
    assert frame["published_gain_percent"].to_dict()["a"] == pytest.approx(100 / 6)
    ours = frame["score"]["a"] - frame["score"]["plain"]
    assert frame["gain_percent"]["a"] == pytest.approx(100 * ours / frame["score"]["plain"])
    assert frame["gain_percent"].notna().sum() == 1


def test_what_it_would_need_stands_in_the_table_of_power() -> None:
    few = leaderboard(
        [outcome("plain", [1, 0] * 20, role="plain"), outcome("a", [1, 0, 0, 1] * 10)], OPTIONS
    )
    assert words(few.boards[0], "a") == "not shown"
    frame = power_frame(few.boards[0], few)
    assert frame["questions_for_2"].item() > 40
    assert frame["questions_for_5"].item() < frame["questions_for_2"].item()


@pytest.mark.parametrize("n", [1, 2, 9])
def test_of_few_questions_no_difference_is_told(n: int) -> None:
    found = board([outcome("plain", [0] * n, role="plain"), outcome("a", [1] * n)])
    frame = leaderboard_frame(found).set_index("method")
    assert frame["difference"]["a"] == pytest.approx(100)
    assert not {"difference_low", "score_low", "p_corrected"} & set(frame)
    assert words(found, "a") == "too few questions"
    (text,) = leaderboard_findings([found])
    assert f"there {'is 1' if n == 1 else f'are {n}'}." in text
