from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from l2_harness.config import ConfigError, read_interventions
from l2_harness.config.interventions import PRESETS, intervention_groups
from l2_harness.config.options import option_names

DEFAULTS = {
    "preset": "default",
    "threshold": "iqr",
    "threshold_k": 1.5,
    "threshold_scope": "request",
    "threshold_warmup": 32,
    "threshold_values": None,
    "threshold_quantile": 0.9,
    "calibration": None,
    "threshold_prompt": False,
    "intervene_on": "decode",
    "recursion": "off",
    "recursion_max_passes": 1,
    "recursion_min_growth": 0.2,
    "recursion_max_ratio": 1.5,
    "recursion_alpha": 1.0,
    "recursion_warmup": 32,
    "recursion_entropy": 0.672,
    "recursion_top_layers": None,
    "recursion_tolerance": 0.01,
    "steering": "off",
    "steering_trigger": "low",
    "steering_jump": 2.0,
    "steering_mode": "blend",
    "steering_strength": 0.5,
    "steering_patience": 40,
    "steering_low": "1",
    "steering_probability": 0.2,
    "steering_cooldown": 32,
    "steering_bank": 32,
    "steering_min_cosine": 0.5,
    "steering_source": "bank",
    "steering_directions": None,
    "steering_warmup": 32,
    "suppression": "off",
    "suppression_mode": "scale",
    "suppression_factor": 0.1,
}


def test_defaults() -> None:
    config = read_interventions({})
    assert config.as_dict() == DEFAULTS
    assert not config.enabled
    assert json.loads(json.dumps(config.as_dict())) == DEFAULTS


def test_every_argument_is_resolved() -> None:
    names = [name for group in intervention_groups() for name in option_names(group)]
    # what a control matches is told where there is one
    assert sorted(names) == sorted([*DEFAULTS, "matched_to"])
    told = read_interventions({"suppression": "random", "matched_to": "x"}).as_dict()
    assert told == DEFAULTS | {"suppression": "random", "matched_to": "x"}


def test_reference_preset() -> None:
    changed = DEFAULTS | PRESETS["reference"] | {"preset": "reference"}
    config = read_interventions({"preset": "reference", "recursion": "norm"})
    assert config.as_dict() == changed | {"recursion": "norm"}
    assert config.warmups == {"recursion": 500, "steering": 200, "suppression": 32}


def test_paper_preset_steers_at_peaks() -> None:
    config = read_interventions({"preset": "paper", "steering": "norm"})
    changed = {"preset": "paper", "steering": "norm", "steering_trigger": "peak"}
    assert config.as_dict() == DEFAULTS | changed
    own = read_interventions({"preset": "paper", "steering_trigger": "low"})
    assert own.as_dict()["steering_trigger"] == "low"


def test_arguments_win_over_a_preset() -> None:
    given = {"recursion_max_passes": 3, "threshold_scope": "request", "steering_warmup": 7}
    found = read_interventions({"preset": "reference"} | given).as_dict()
    assert {name: found[name] for name in given} == given
    assert found["recursion_max_ratio"] == 7


def test_a_warmup_that_is_given_is_everyones() -> None:
    config = read_interventions({"preset": "reference", "threshold_warmup": 9})
    assert set(config.warmups.values()) == {9}
    own = read_interventions({"threshold_warmup": 9, "recursion_warmup": 4})
    assert own.warmups == {"recursion": 4, "steering": 9, "suppression": 9}


@pytest.mark.parametrize(
    ("args", "name", "value"),
    [
        ({"threshold_k": "2"}, "threshold_k", 2.0),
        ({"threshold_warmup": "16"}, "threshold_warmup", 16),
        ({"threshold_warmup": 16.0}, "threshold_warmup", 16),
        ({"recursion": False}, "recursion", "off"),
        ({"recursion": "entropy"}, "recursion_max_passes", 4),
        ({"recursion": "entropy", "recursion_max_passes": 2}, "recursion_max_passes", 2),
        ({"steering_low": "q0.4"}, "steering_low", "q0.4"),
        ({"steering_low": 0.8}, "steering_low", "0.8"),
        ({"steering_mode": "add", "steering_strength": 2}, "steering_strength", 2.0),
        ({"suppression_mode": "clamp"}, "suppression_factor", 0.25),
        ({"suppression_mode": "angle"}, "suppression_factor", 0.0),
        ({"suppression_mode": "clamp", "suppression_factor": 1}, "suppression_factor", 1.0),
        ({"threshold_prompt": "True"}, "threshold_prompt", True),
        (
            {"threshold": "fixed", "threshold_values": "21:33+20:31.5"},
            "threshold_values",
            "20:31.5+21:33",
        ),
        ({"threshold": "fixed", "threshold_values": {"20": 31}}, "threshold_values", "20:31"),
    ],
)
def test_values(args: dict[str, Any], name: str, value: Any) -> None:
    found = read_interventions(args).as_dict()[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("technique", ["recursion", "steering", "suppression"])
def test_enabled(technique: str) -> None:
    assert read_interventions({technique: "random"}).enabled


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"preset": "papre"}, "did you mean 'paper'? Allowed: default, paper, reference."),
        ({"threshold": "iqrr"}, "did you mean 'iqr'? Allowed: iqr, fixed, calibrated."),
        ({"threshold_k": -1}, "threshold_k=-1 is not allowed. Pass a number of at least 0."),
        ({"threshold_k": "nan"}, "threshold_k='nan' is not allowed."),
        ({"threshold_k": "inf"}, "threshold_k='inf' is not allowed."),
        ({"threshold_k": True}, "threshold_k=True is not allowed."),
        ({"threshold_scope": "group"}, "Allowed: request, pooled."),
        ({"threshold_warmup": 1.5}, "threshold_warmup=1.5 is not allowed. Pass a whole number"),
        ({"threshold_warmup": "many"}, "Pass a whole number of at least 0."),
        ({"threshold": "fixed"}, "threshold=fixed needs threshold_values: pass threshold_val"),
        ({"threshold_values": "20:1"}, "but threshold=iqr does not read it: pass threshold=fixed"),
        ({"threshold": "calibrated"}, "threshold=calibrated needs calibration: pass calibration="),
        ({"threshold": "fixed", "threshold_values": "20=1"}, "Pass LAYER:VALUE joined by +"),
        ({"threshold": "fixed", "threshold_values": 31.5}, "Pass LAYER:VALUE joined by +"),
        ({"threshold": "fixed", "threshold_values": "20:1+20:2"}, "names a layer twice"),
        ({"threshold": "fixed", "threshold_values": "20:0"}, "threshold is a number above 0"),
        ({"threshold": "fixed", "threshold_values": {"x": 1}}, "a layer counts from 0"),
        ({"threshold": "fixed", "threshold_values": {}}, "is empty or names a layer twice"),
        ({"threshold_quantile": 0.8}, "Allowed: 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99"),
        ({"intervene_on": "prompt"}, "Allowed: decode, all."),
        ({"recursion": "nrom"}, "did you mean 'norm'? Allowed: off, norm, entropy, always, random"),
        ({"recursion_max_passes": 0}, "Pass a whole number of at least 1."),
        ({"recursion_max_ratio": 1}, "Pass a number above 1."),
        ({"recursion_alpha": 1.2}, "Pass a number of at least 0 and at most 1."),
        ({"recursion_min_growth": -0.1}, "recursion_min_growth=-0.1 is not allowed."),
        ({"steering": "peaks"}, "Allowed: off, norm, random."),
        ({"steering_strength": 1.5}, "or steering_mode=add."),
        ({"steering_strength": -1, "steering_mode": "add"}, "Pass a number of at least 0."),
        ({"steering_patience": 0}, "Pass a whole number of at least 1."),
        ({"steering_low": "q1.5"}, "or a quantile of the norms so far, such as steering_low=q0.4."),
        ({"steering_low": 0}, "Pass a factor of the threshold above 0"),
        ({"steering_low": "low"}, "steering_low='low' is not allowed."),
        ({"steering_min_cosine": -2}, "Pass a number of at least -1 and at most 1."),
        ({"steering_probability": 20}, "Pass a number of at least 0 and at most 1."),
        (
            {"steering_source": "banks"},
            "Allowed: bank, shuffled, gaussian, sae.",
        ),
        ({"suppression": "norm"}, "Allowed: off, peaks, random, shuffled."),
        ({"suppression_mode": "clip"}, "did you mean 'clamp'?"),
        ({"suppression_factor": 2}, "Pass a number of at least 0 and at most 1."),
    ],
)
def test_errors_name_argument_and_remedy(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        read_interventions(args)
    assert any(name in str(error.value) for name in args)


def test_calibration_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    args = {"threshold": "calibrated", "calibration": str(path)}
    with pytest.raises(ConfigError, match=r"is not a file\. Write one with l2-harness"):
        read_interventions(args)
    path.write_text("{}")
    assert read_interventions(args).as_dict()["calibration"] == str(path)
    with pytest.raises(ConfigError, match="pass threshold=calibrated, or leave calibration out"):
        read_interventions({"calibration": str(path)})


def test_layer_values_fit_the_model() -> None:
    config = read_interventions({"threshold": "fixed", "threshold_values": "20:31.5+21:33"})
    values = config.threshold.threshold_values
    assert values is not None
    assert values.of_layers([21]) == {21: 33.0}
    with pytest.raises(ConfigError, match=r"no value for layer 22.*layers 21\+22"):
        values.of_layers([21, 22])


@pytest.mark.parametrize(
    ("n_layers", "given", "expected"), [(12, None, 3), (3, None, 1), (4, 9, 4)]
)
def test_top_layers(n_layers: int, given: int | None, expected: int) -> None:
    args = {"recursion": "entropy"} | ({"recursion_top_layers": given} if given else {})
    assert read_interventions(args).recursion.layers_a_pass(n_layers) == expected


@pytest.mark.parametrize(
    ("args", "n_layers", "expected"),
    [
        ({}, 12, 0),
        ({"steering": "norm"}, 12, 0),
        ({"recursion": "norm"}, 12, 5),
        ({"recursion": "norm"}, None, 5),
        ({"recursion": "entropy"}, 12, 15),  # a quarter of the layers a pass
        ({"recursion": "entropy", "recursion_top_layers": 2}, 12, 10),
        ({"recursion": "entropy"}, None, None),
    ],
)
def test_passes_of_single_layers(
    args: dict[str, Any], n_layers: int | None, expected: int | None
) -> None:
    counts = {"passes_run": 5, "passes_accepted": 2, "rows": 40}
    assert read_interventions(args).layer_passes(counts, n_layers) == expected


def test_shuffled_layers_need_two() -> None:
    shuffled = read_interventions({"suppression": "shuffled"}).suppression
    shuffled.check_layers([3, 4])
    read_interventions({"suppression": "random"}).suppression.check_layers([3])
    with pytest.raises(ConfigError, match=r"needs two .* monitored is 3 alone\. Pass layers=all"):
        shuffled.check_layers([3])
