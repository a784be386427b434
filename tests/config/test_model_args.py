from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from l2_harness.config import ConfigError
from l2_harness.config.decoding import DecodingConfig
from l2_harness.config.model_args import split_model_args
from l2_harness.engines.hf.hf_args import FROM_PRETRAINED


def split(**args: Any) -> Any:
    fields = ["rope_scaling", "sliding_window"]
    return split_model_args(args, HFLM.__init__, FROM_PRETRAINED, lambda: fields)


def test_ours_are_taken_out_and_the_rest_stays() -> None:
    theirs = {
        "dtype": "bfloat16",
        "device": "cpu",
        "parallelize": True,
        "peft": "adapter",
        "revision": "main",
        "batch_size": "auto:4",
        "max_length": 2048,
        "think_end_token": "</think>",
        "enable_thinking": True,
        "chat_template_args": {"a": 1},
        "attn_implementation": "eager",
        "load_in_4bit": True,
        "sliding_window": 128,
        "tp_plan": None,
    }
    config, rest = split(layers="3-5", record="tokens", trace_dir="there", **theirs)
    assert rest == theirs
    assert config.recording.layers.indices == (3, 4, 5)
    assert (config.recording.record, config.recording.trace_dir) == ("tokens", "there")


def test_defaults() -> None:
    config, rest = split()
    recording = config.recording
    assert (recording.record, str(recording.layers), recording.trace_dir, recording.resume) == (
        ("summary", "late", None, True)
    )
    assert (config.decoding, config.decoding.sampling, rest) == (DecodingConfig(), {}, {})


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"recrod": "off"}, "unknown argument 'recrod'; did you mean 'record'?"),
        ({"bach_size": 2}, "unknown argument 'bach_size'; did you mean 'batch_size'?"),
        ({"xyzzy": 2}, "unknown argument 'xyzzy'. Allowed are ours: calibration, coe, decoding"),
        ({"record": "token"}, "did you mean 'tokens'? Allowed: off, summary, tokens."),
        ({"record": "tokens"}, "record=tokens needs a folder"),
        ({"record": "off", "trace_dir": "x"}, "but record=off records nothing"),
        ({"trace_dir": " "}, "trace_dir=' ' is empty"),
        ({"layers_path": ""}, "layers_path='' is empty"),
        ({"resume": "maybe"}, "resume='maybe' is unknown. Allowed: true, false."),
        ({"parallelize": "maybe"}, "parallelize='maybe' is unknown. Allowed: True, False, auto."),
        ({"truncation": "longest"}, "did you mean 'longest_first'? Allowed: True, False, longest_"),
        ({"logits_cache": "no"}, "logits_cache='no' is unknown. Allowed: True, False."),
        (
            {"max_length": "long"},
            "max_length='long' is not allowed. Pass a whole number of at least 1.",
        ),
        ({"max_batch_size": 0}, "max_batch_size=0 is not allowed. Pass a whole number"),
        *(
            ({"batch_size": size}, "is not allowed. Pass a whole number of at least 1, or auto.")
            for size in (0, -1, "0", "1.5", "nan", 10**20, "auto:0", "auto:x", "autox", "", True)
        ),
        ({"backend": "causl"}, "did you mean 'causal'? Allowed: default, causal, seq2seq."),
        ({"dtype": "float31"}, "dtype='float31' is unknown; did you mean 'float32'?"),
        ({"num_samples": 0}, "num_samples=0 is not allowed. Pass a whole number of at least 1"),
        ({"num_samples": "1e30"}, "Pass a whole number of at least 1 and at most 100000."),
        ({"num_samples": "two"}, "num_samples='two' is not allowed."),
        ({"num_sample": 2}, "did you mean 'num_samples'?"),
        ({"seed": -1}, "seed=-1 is not allowed. Pass a whole number of at least 0."),
        ({"seed": True}, "seed=True is not allowed."),
        ({"temperature": -0.5}, "temperature=-0.5 is not allowed. Pass a number of at least 0"),
        ({"temperature": "nan"}, "temperature='nan' is not allowed."),
        ({"top_p": 1.5}, "top_p=1.5 is not allowed. Pass a number of at least 0 and at most 1."),
        ({"top_k": 0.5}, "top_k=0.5 is not allowed."),
        ({"decoding": "loops"}, "did you mean 'loop'? Allowed: loop, stock."),
        ({"dtype": "nn"}, "dtype='nn' is unknown"),
    ],
)
def test_errors_name_argument_and_remedy(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        split(**args)


def test_record_off_survives_yaml() -> None:
    """YAML reads a bare ``off`` as False."""
    assert split(record=False)[0].recording.record == "off"


@pytest.mark.parametrize(
    ("name", "word"), [("parallelize", "auto"), ("truncation", "longest_first")]
)
def test_words_that_hf_hands_on(name: str, word: str) -> None:
    assert split(**{name: word})[1] == {name: word}


def test_every_argument_that_from_pretrained_reads_passes() -> None:
    """Its names are in its source alone: it takes them from **kwargs."""
    from transformers import PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    names = set(inspect.signature(PreTrainedModel.from_pretrained).parameters)
    names -= {"pretrained_model_name_or_path", "model_args", "kwargs"}
    for function in (PreTrainedModel.from_pretrained, _BaseAutoModelClass.from_pretrained):
        source = inspect.getsource(function)
        names |= set(re.findall(r'kwargs\.(?:pop|get)\("(\w+)"', source))
        for unused in re.findall(r"for name in \[(.*)\]:", source):
            names |= set(re.findall(r'"(\w+)"', unused))
    names -= {"_from_auto"}  # lm-eval's own auto class sets it
    assert {"mirror", "code_revision", "output_loading_info", "variant", "subfolder"} < names
    assert split(**dict.fromkeys(sorted(names)))[1].keys() == names


def test_every_default_of_lm_eval_passes() -> None:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(HFLM.__init__).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert split(**defaults)[1] == defaults
