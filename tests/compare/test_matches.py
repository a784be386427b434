"""``matches`` in a suite: which run a control matches, when it runs, and what it depends on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from l2_harness.compare.plan import make_plan
from l2_harness.compare.runner import run_arguments
from l2_harness.compare.suite import Suite
from l2_harness.compare.suite_checks import check_suite
from l2_harness.config.errors import ConfigError

OWN = "alrr: {args: {recursion: norm}}"
CONTROL = "control: {matches: alrr, role: control, args: {recursion: random}}"


def test_a_control_waits_for_what_it_matches(
    suite_of: Callable[..., Suite], tmp_path: Path
) -> None:
    suite = suite_of(OWN, CONTROL)
    plan = make_plan(suite, tmp_path, check_suite(suite), only=["control"])
    own, control = plan.to_run
    assert (own.cell.method.name, control.cell.method.name) == ("alrr", "control")
    assert run_arguments(control, None)["matched_to"] == str(own.folder / "traces")
    assert "matched_to" not in run_arguments(own, None)


def test_a_control_runs_again_where_what_it_matches_has_changed(
    suite_of: Callable[..., Suite], tmp_path: Path
) -> None:
    other = OWN.replace("norm}", "norm, recursion_min_growth: 0.1}")
    definitions = [
        make_plan(suite, tmp_path, check_suite(suite)).cells[2].definition
        for suite in (suite_of(OWN, CONTROL), suite_of(other, CONTROL))
    ]
    assert definitions[0] != definitions[1]
    assert definitions[0] | {"matches": 0} == definitions[1] | {"matches": 0}


def test_another_seed_matches_the_only_one_there_is(suite_of: Callable[..., Suite]) -> None:
    suite = suite_of(OWN, CONTROL.replace("role", "seeds: [0, 1], role"))
    plan = make_plan(suite, Path("nowhere"), check_suite(suite))
    matched = [p.matched.cell.name for p in plan.cells if p.matched is not None]
    assert matched == [plan.cells[1].cell.name] * 2


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ((CONTROL, OWN), "line 12: method 'control' matches 'alrr', which is no method before it"),
        ((CONTROL,), "line 12: method 'control' matches 'alrr', which is no method before it"),
        (
            (OWN, CONTROL.replace("random", "always")),
            "line 13: method 'control' matches 'alrr', and is no random control",
        ),
    ],
)
def test_what_cannot_be_matched(
    suite_of: Callable[..., Suite], methods: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_suite(suite_of(*methods))
