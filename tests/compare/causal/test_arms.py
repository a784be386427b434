from __future__ import annotations

import pytest

from l2_harness.compare.causal.arms import standard_arms
from l2_harness.compare.causal.suite import causal_suite
from l2_harness.compare.suite import TaskRow, cells_of
from l2_harness.config import ConfigError, read_interventions


def test_every_arm_is_a_configuration_of_its_own() -> None:
    arms = standard_arms()
    assert len({arm.name for arm in arms}) == len(arms) == 23
    settings = [read_interventions(arm.args).suppression for arm in arms]
    assert len(set(settings)) == len(arms)
    assert [s.suppression for s in settings][:2] == ["off", "peaks"]
    for arm, config in zip(arms, settings, strict=True):
        assert config.suppression == (arm.where or "off")
        if arm.where:
            assert (config.suppression_mode, config.factor) == (arm.mode, arm.factor)


def test_peaks_have_both_controls_at_every_dose() -> None:
    names = {arm.name for arm in standard_arms([0.5])}
    for edit in ("scale-0.5", "scale-0.1", "angle-0", "norm-0"):
        assert {f"{where}-{edit}" for where in ("peaks", "random", "shuffled")} <= names
    assert "peaks-scale-1" in names
    assert "random-scale-1" not in names


def test_doses_are_sorted_and_plain_is_no_dose() -> None:
    arms = standard_arms([0, 1, 0.5, 0.5])
    assert [a.factor for a in arms if a.where == "random" and a.mode == "scale"] == [0.5, 0.1, 0]


@pytest.mark.parametrize("factor", [-0.1, 1.5, float("nan")])
def test_a_factor_is_a_share(factor: float) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        standard_arms([factor])


def test_suite() -> None:
    arms = standard_arms([0.5])
    suite = causal_suite(
        arms, {"pretrained": "org/Model", "layers": "all"}, [TaskRow(name="a", task="a")], seed=3
    )
    cells = list(cells_of(suite))
    assert [cell.method.name for cell in cells] == [arm.name for arm in arms]
    assert {cell.seed for cell in cells} == {3}
    assert {cell.model.name for cell in cells} == {"Model"}
    roles = {cell.method.name: cell.method.role for cell in cells}
    assert roles["plain"] == "plain"
    assert roles["peaks-scale-1"] == "null"
    assert roles["peaks-scale-0.5"] == "method"
    assert roles["shuffled-scale-0.5"] == "control"
    for cell in cells:
        assert cell.args["layers"] == "all"
        assert cell.args["intervene_on"] == "all"
        word = cell.method.name.split("-")[0]
        assert cell.args.get("suppression", "plain") == word


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"suppression": "peaks"}, "suppression differs from arm to arm"),
        ({"suppression_factor": 0.3}, "--factors sets the doses"),
        ({"record": "off"}, "record=off leaves no count of edits"),
        ({"record": False}, "leave record out of --model-args"),
    ],
)
def test_arguments_that_are_the_arms_own(args: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        causal_suite(standard_arms(), {"pretrained": "demo", **args}, [])
