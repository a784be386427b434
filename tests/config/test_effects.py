"""What each argument has a say in, against lists written out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from l2_harness.config.errors import ConfigError
from l2_harness.config.interventions import read_interventions
from l2_harness.config.model_args import (
    LM_EVALS_OWN,
    affecting,
    own_arguments,
    split_model_args,
)

#: Which of the responses that are there is answered, and what is kept for it.
CHOICE = {
    *("selection", "selection_on", "selection_answers", "selection_window", "num_samples"),
    *("selection_temperature", "coe"),
}
EXECUTION = {"trace_dir", "resume", "samples_from"}
LM_EVALS_EXECUTION = {"batch_size", "max_batch_size", "device"}


def named(effect: Any) -> set[str]:
    return {name for name, own in own_arguments().items() if own == effect}


def test_ours() -> None:
    assert named("choice") == CHOICE
    assert named("records") == {"record"}
    assert named("execution") == EXECUTION
    assert named("setup") == set()
    responses = named("responses")
    assert {"layers", "seed", "decoding", "temperature", "recursion", "threshold_k"} < responses
    assert (
        len(responses) == 40 + len({"layers", "layers_path", "matched_to"}) + 6
    )  # decoding's without samples


def test_lm_evals() -> None:
    found = {name for name, effect in LM_EVALS_OWN.items() if effect == "execution"}
    assert found == LM_EVALS_EXECUTION
    assert not LM_EVALS_OWN.keys() & own_arguments().keys()


def test_what_nobody_declares_changes_responses() -> None:
    args = {"pretrained": "x", "dtype": "float32", "batch_size": 2, "selection": "l2"}
    assert affecting(args, "responses") == {"pretrained": "x", "dtype": "float32"}
    assert affecting(args, "execution", "choice") == {"batch_size": 2, "selection": "l2"}


@pytest.mark.parametrize(
    ("args", "argument"),
    [
        ({"recursion": "nrom"}, "recursion"),
        ({"threshold_k": -1}, "threshold_k"),
        ({"threshold_values": "x"}, "threshold_values"),
        ({"steering_low": "q2"}, "steering_low"),
        ({"layers": "5-3"}, "layers"),
        ({"threshold": "fixed"}, "threshold"),
        ({"threshold_values": "20:3"}, "threshold_values"),
        ({"calibration": "nowhere"}, "calibration"),
        ({"steering_mode": "blend", "steering_strength": 2}, "steering_strength"),
        ({"record": "tokens"}, "record"),
        ({"record": "off", "trace_dir": "x"}, "trace_dir"),
        ({"record": "off", "samples_from": "x"}, "samples_from"),
        ({"record": "off", "coe": True}, "record"),
        ({"selection": "l2"}, "selection"),
        ({"samples_from": "x", "recursion": "norm"}, "samples_from"),
        ({"trace_dir": " "}, "trace_dir"),
        ({"recrod": "off"}, "recrod"),
        ({"dtype": "flot"}, "dtype"),
        ({"preset": "papr"}, "preset"),
    ],
)
def test_an_error_carries_its_argument(args: dict[str, Any], argument: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_model_args(args, HFLM.__init__)
    assert caught.value.argument == argument
    assert argument in str(caught.value)


def test_layers_that_a_technique_cannot_have() -> None:
    with pytest.raises(ConfigError) as caught:
        read_interventions({"suppression": "shuffled"}).check_layers([1])
    assert caught.value.argument == "suppression"
