"""What a suite decides: fixed before the first response, and held to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from l2_harness.compare.plan import make_plan
from l2_harness.compare.registered import FILE, looked, question_count, register
from l2_harness.compare.suite import Suite, TaskRow
from l2_harness.compare.suite_checks import check_suite
from l2_harness.compare.suite_reader import load_suite, packaged_suites, parse_suite
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.outcomes import Outcome

METHODS = """  alrr: {args: {recursion: norm}}
  alrr_random: {role: control, args: {recursion: random}}
"""
DECISION = """
decision:
  margin: 3
  claims:
    - {says: ALRR helps, method: alrr}
    - {says: at peaks, method: alrr, over: alrr_random}
"""


def suite(head: str, decision: str = DECISION) -> Suite:
    return parse_suite(head + METHODS + decision, "t.yaml")


def fix(of: Suite, out: Path) -> dict[str, Any]:
    catalogue = TaskCatalogue([task.task for task in of.tasks])
    register(of, make_plan(of, out, catalogue), out, catalogue)
    content: dict[str, Any] = json.loads((out / FILE).read_text("utf-8"))
    return content


def outcome(method: str, error: str | None = None) -> Outcome:
    return Outcome(model="demo", task="l2_demo", method=method, error=error)


def test_what_is_written(head: str, tmp_path: Path) -> None:
    content = fix(suite(head), tmp_path)
    assert content["margin_points"] == 3
    assert content["questions"] == {"l2_demo": 6}
    assert content["runs"] == 3
    assert content["claims"][0] == {"says": "ALRR helps", "method": "alrr", "over": "plain"}
    assert content["rule"].startswith("Each of 3 comparisons")
    assert "±3 points" in content["rule"]
    assert (content["done_before"], content["looks"]) == (0, [])


def test_it_is_held_to(head: str, tmp_path: Path) -> None:
    before = fix(suite(head), tmp_path)
    assert fix(suite(head), tmp_path) == before
    with pytest.raises(ConfigError, match=r"differs in margin_points\. Pass another --out"):
        fix(suite(head, DECISION.replace("3", "2")), tmp_path)
    with pytest.raises(ConfigError, match="differs in questions"):
        fix(suite(head.replace("limit: 6", "limit: 5")), tmp_path)


def test_without_a_decision_nothing_is_written(head: str, tmp_path: Path) -> None:
    of = suite(head, "")
    catalogue = TaskCatalogue(["l2_demo"])
    register(of, make_plan(of, tmp_path, catalogue), tmp_path, catalogue)
    assert not (tmp_path / FILE).exists()
    assert looked(tmp_path, []) == []


def test_looks_are_counted_and_stopping_early_is_said(head: str, tmp_path: Path) -> None:
    fix(suite(head), tmp_path)
    (planned, early) = looked(tmp_path, [outcome("plain"), outcome("alrr", "broke")])
    assert planned.startswith("6 questions in 3 runs were planned; the rule was written ")
    assert early.startswith("Stopped early: 1 of 3 runs are there.")
    whole = [outcome(name) for name in ("plain", "alrr", "alrr_random")]
    (_, again) = looked(tmp_path, whole)
    assert again.startswith("Results were looked at 1 time before all runs were done")
    assert len(looked(tmp_path, whole)) == 2


def test_a_rule_that_comes_late_says_so(head: str, tmp_path: Path) -> None:
    content = fix(suite(head), tmp_path)
    (tmp_path / FILE).write_text(json.dumps({**content, "done_before": 2}), "utf-8")
    (note, _) = looked(tmp_path, [outcome("plain")])
    assert "when 2 of 3 runs had been done: it was not fixed beforehand" in note


@pytest.mark.parametrize(("limit", "expected"), [(None, 540), (7, 7), (0.01, 6), (9000, 540)])
def test_questions(limit: Any, expected: int) -> None:
    task = TaskRow(name="l2_demo", task="l2_demo", limit=limit)
    assert question_count(task, TaskCatalogue(["l2_demo"])) == expected


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            "{says: x, method: alr}",
            "line 17: claim 'x': unknown method 'alr'; did you mean 'alrr'",
        ),
        ("{says: x, method: plain}", "plain is to be better than plain"),
        ("{says: x, method: alrr, over: alrr}", "nor the other one"),
        ("{method: alrr}", "a claim has 'says'"),
        ("{says: x, method: alrr, than: plain}", "unknown key 'than'"),
    ],
)
def test_a_claim_that_is_none(head: str, claim: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_suite(suite(head, f"\ndecision:\n  claims:\n    - {claim}\n"))


def test_every_claim_of_a_packaged_suite_is_about_its_methods() -> None:
    decided = [load_suite(name) for name in packaged_suites()]
    with_claims = [one for one in decided if one.decision is not None]
    assert [one.name for one in with_claims] == ["settle"]
    for one in with_claims:
        assert one.decision is not None
        names = {method.name for method in one.methods}
        claimed = {claim.method for claim in one.decision.claims}
        assert claimed <= names
        # ALRR, ERSS and LRS are each claimed to help, and to be more than their control
        roles = {method.name: method.role for method in one.methods}
        for method in ("alrr", "erss", "lrs"):
            over = {c.over for c in one.decision.claims if c.method == method}
            assert None in over
            assert any(roles[name] == "control" for name in over if name is not None)
