"""Claims on a leaderboard: which family they are corrected in, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.compare.decision import Claim, Decision
from l2_harness.compare.leaderboard import Leaderboard, Options, leaderboard, write_leaderboard
from l2_harness.compare.leaderboard.verdict_section import verdict_section
from l2_harness.findings.verdicts import claim_words
from l2_harness.lm_eval_files.outcomes import Cost, Outcome

OPTIONS = Options(flips=2000)
DECISION = Decision(
    2.0,
    (
        Claim(says="A helps", method="a"),
        Claim(says="B helps", method="b"),
        Claim(says="A beats B", method="a", over="b"),
        Claim(says="C beats B", method="c", over="b"),
    ),
)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """4,000 questions: b answers as plain does but for 20 of them, a 8 points better."""
    rng = np.random.default_rng(1)
    plain = (rng.random(4000) < 0.5).astype(float)
    b, a = plain.copy(), plain.copy()
    b[:20] = 1 - b[:20]
    a[np.flatnonzero(a == 0)[:320]] = 1.0
    made = {"plain": plain, "a": a, "b": b}
    return [
        Outcome(
            model="m",
            task="t",
            method=name,
            seed=0,
            role="plain" if name == "plain" else "method",
            metric="acc,none",
            scores={f"q{i}": float(score) for i, score in enumerate(scores)},
            cost=Cost(edits=0.0 if name == "b" else 5.0),
        )
        for name, scores in made.items()
    ]


def boards(of: list[Outcome], decision: Decision | None = DECISION) -> Leaderboard:
    return leaderboard(of, OPTIONS, decision=decision)


def test_claims_are_corrected_with_the_comparisons_to_plain(outcomes: list[Outcome]) -> None:
    (board,) = boards(outcomes).boards
    assert board.family == 3  # a and b with plain, a with b; c isn't there
    (alone,) = boards(outcomes, None).boards
    assert alone.family == 2
    level = {row.method: row.difference.level for row in board.rows if row.difference}
    before = {row.method: row.difference.level for row in alone.rows if row.difference}
    assert level["b"] >= before["b"]
    of_claims = {(c.method, c.over): c.difference for c in board.claims}
    assert of_claims["b", "plain"] == next(r.difference for r in board.rows if r.method == "b")
    assert of_claims["c", "b"] is None


def test_verdicts(outcomes: list[Outcome]) -> None:
    (board,) = boards(outcomes).boards
    assert {row.method: row.verdict for row in board.rows} == {
        "plain": "plain",
        "a": "better",
        "b": "equivalent",
    }
    assert [claim.verdict for claim in board.claims] == ["better", "equivalent", "better", None]
    (without,) = boards(outcomes, None).boards
    assert {row.method: row.verdict for row in without.rows}["b"] == "not shown"
    assert without.claims == []
    (strict,) = boards(outcomes, replace(DECISION, margin=0.1)).boards
    assert {row.method: row.verdict for row in strict.rows}["b"] == "abstain"


def test_no_margin_for_what_is_no_share(outcomes: list[Outcome]) -> None:
    large = [replace(o, scores={k: 100 * v for k, v in o.scores.items()}) for o in outcomes]
    (board,) = boards(large).boards
    assert board.margin is None
    assert {row.method: row.verdict for row in board.rows}["b"] == "not shown"


def test_the_section(outcomes: list[Outcome], tmp_path: Path) -> None:
    sections = write_leaderboard(boards(outcomes), tmp_path, command="l2-harness compare x")
    (section,) = [one for one in sections if one.name == "verdicts"]
    frame = section.tables[0].frame
    assert list(frame["verdict"]) == [
        "holds",
        "not tried: it changed no state",
        "holds",
        "not decided: not run",
    ]
    (finding,) = section.findings
    assert finding == (
        "m, t: of 4 claims 2 hold (a over plain and a over b), 1 was not tried (b over plain) and "
        "1 is not decided (c over b)."
    )
    assert "±2 points" in section.caveats[0]
    text = (tmp_path / "verdicts.md").read_text("utf-8")
    assert text.startswith("# Verdicts\n\n    l2-harness compare x\n")
    assert "| A helps | a | plain |" in text
    (board,) = json.loads((tmp_path / "leaderboard.json").read_text("utf-8"))["boards"]
    assert board["margin"] == 2
    assert board["claims"][0]["verdict"] == "better"
    assert board["claims"][0]["difference"] == pytest.approx(8.0)
    assert board["claims"][3]["in_words"] == "not decided: not run"
    assert verdict_section(boards(outcomes, None), "") is None


@pytest.mark.parametrize(
    ("found", "changed", "enough", "words"),
    [
        ("better", 3.0, True, "holds"),
        ("worse", None, True, "fails: worse"),
        ("equivalent", None, True, "fails: no difference that matters"),
        ("abstain", None, True, "not decided"),
        ("equivalent", 0.0, True, "not tried: it changed no state"),
        ("better", None, False, "not decided: too few questions"),
        (None, 0.0, True, "not decided: not run"),
    ],
)
def test_words(found: Any, changed: float | None, enough: bool, words: str) -> None:
    assert claim_words(found, changed, enough=enough) == words


def test_a_family_without_differences_errs_as_often_as_it_says(
    made: Callable[..., list[Outcome]],
) -> None:
    """Claims among methods too; 60 suites."""
    decision = Decision(2.0, (Claim(says="x", method="a", over="b"),))
    wrong = 0
    for seed in range(60):
        of = made(np.random.default_rng(seed), {"a": 0.0, "b": 0.0}, 100)
        (board,) = leaderboard(of, Options(flips=300), decision=decision).boards
        verdicts = [claim.verdict for claim in board.claims] + [r.verdict for r in board.rows]
        wrong += any(one in ("better", "worse") for one in verdicts)
    assert wrong / 60 <= 0.05 + 4 * (0.05 * 0.95 / 60) ** 0.5
