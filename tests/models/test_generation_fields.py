"""Every setting of transformers' ``generate``: the responses are those of lm-eval's ``hf``.

Where the decode loop does not honour a setting, stock ``generate`` decodes and a warning says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import GenerationConfig

from l2_harness.config import ConfigError
from l2_harness.engines.hf.loop_support import loop_obstacle
from l2_harness.models.hf.l2hf import L2HF

#: Settings that the loop honours, at values that change the responses of the tiny model.
HONOURED: dict[str, Any] = {
    "bad_words_ids": [[73], [116, 116]],
    "begin_suppress_tokens": [48, 81, 42, 71],
    "eos_token_id": [116, 13, 64, 73],
    "exponential_decay_length_penalty": [2, 9.0],
    "forced_bos_token_id": 5,
    "forced_eos_token_id": 6,
    "max_new_tokens": 3,
    "min_length": 22,
    "min_new_tokens": 6,
    "no_repeat_ngram_size": 1,
    "prefill_chunk_size": 4,
    "remove_invalid_values": True,
    "renormalize_logits": True,
    "repetition_penalty": 1.8,
    "sequence_bias": [[[5], 9.0], [[6, 7], -3.0]],
    "suppress_tokens": list(range(5, 60)),
}
#: Warpers so strict that they leave one token: a sampled response is then no matter of luck.
ONE_TOKEN: dict[str, dict[str, float]] = {
    "temperature": {"temperature": 1e-4},
    "top_k": {"top_k": 1},
    "top_p": {"top_p": 1e-6},
    "min_p": {"min_p": 0.999999},
    "top_h": {"top_h": 1e-6},
    "typical_p": {"typical_p": 1e-6},
    "epsilon_cutoff": {"epsilon_cutoff": 0.999},
    # its threshold falls with the entropy
    "eta_cutoff": {"eta_cutoff": 0.999, "temperature": 0.05},
}
#: Settings that stock generate decodes, and what the warning calls them.
STOCK: dict[str, tuple[Any, str]] = {
    "num_beams": (2, "beam search"),
    "max_time": (0.0, "max_time"),
    "guidance_scale": (1.5, "guidance_scale"),
    "encoder_repetition_penalty": (1.5, "encoder_repetition_penalty"),
    "encoder_no_repeat_ngram_size": (2, "encoder_no_repeat_ngram_size"),
    "watermarking_config": ({"bias": 3.0}, "watermarking"),
    "cache_implementation": ("static", "cache_implementation=static"),
    "prompt_lookup_num_tokens": (2, "prompt lookup"),
    "max_length": (
        30,
        "max_length, which counts the padding of a batch (pass max_gen_toks instead)",
    ),
}
#: Settings that change nothing here, with values other than their defaults.
WITHOUT_EFFECT: dict[str, Any] = {
    "assistant_confidence_threshold": 0.3,
    "assistant_lookbehind": 3,
    "bos_token_id": 4,
    "cache_config": {"max_cache_len": 64},
    "decoder_start_token_id": 3,
    "disable_compile": True,
    "diversity_penalty": 0.5,
    "early_stopping": True,
    "length_penalty": 2.0,
    "max_cache_len": 64,
    "max_matching_ngram_size": 2,
    "num_assistant_tokens": 3,
    "num_beam_groups": 2,
    "output_attentions": True,
    "output_hidden_states": True,
    "output_scores": True,
    "target_lookbehind": 3,
}
GREEDY = {"until": [], "max_gen_toks": 8, "do_sample": False}
SAMPLED = {"until": [], "max_gen_toks": 8, "do_sample": True, "temperature": 1.0}


class Pair(NamedTuple):
    """Both classes' responses to the same requests."""

    stock: list[str]
    ours: list[str]


@pytest.fixture
def both(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
) -> Callable[..., Pair]:
    """``both(settings, own, **args)``: settings of the requests, and the model's own."""
    model = tiny_model("qwen3")

    def run(settings: dict[str, Any], own: dict[str, Any] | None = None, **args: Any) -> Pair:
        for name, value in (own or {}).items():
            setattr(model.generation_config, name, value)
        requests = instances("generate_until", [(p, settings) for p in prompts[:4]])
        common = {"tokenizer": tokenizer, "batch_size": 1 if "prompt" in str(settings) else 3}
        found = []
        for lm in (HFLM(model, **common), L2HF(model, **common, **args)):
            torch.manual_seed(3)
            found.append(lm.generate_until(requests))
        return Pair(*found)

    return run


def warned(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(r.getMessage() for r in caplog.records if r.name.startswith("l2_harness"))


@pytest.mark.parametrize("name", HONOURED)
def test_honoured(both: Callable[..., Pair], name: str, caplog: pytest.LogCaptureFixture) -> None:
    pair = both(GREEDY | {name: HONOURED[name]})
    assert pair.ours == pair.stock
    assert warned(caplog) == ""


@pytest.mark.parametrize("name", [n for n in HONOURED if n not in ("min_length", "min_new_tokens")])
def test_honoured_in_the_models_own_settings(both: Callable[..., Pair], name: str) -> None:
    pair = both(GREEDY, {name: HONOURED[name]})
    assert pair.ours == pair.stock


def test_the_values_change_the_responses(both: Callable[..., Pair]) -> None:
    """A value that changes nothing would test nothing."""
    plain = both(GREEDY).stock
    idle = {"prefill_chunk_size", "remove_invalid_values", "renormalize_logits"}
    idle.add("forced_bos_token_id")  # of prompts of one token
    idle.add("max_new_tokens")  # max_gen_toks goes before it
    # what keeps a response going needs one that ends
    ending = {"eos_token_id": HONOURED["eos_token_id"]}
    ended = both(GREEDY | ending).stock
    for name, value in HONOURED.items():
        if name not in idle:
            base, before = (ending, ended) if name.startswith("min_") else ({}, plain)
            assert both(GREEDY | base | {name: value}).stock != before, name


@pytest.mark.parametrize("name", ONE_TOKEN)
def test_warpers(both: Callable[..., Pair], name: str) -> None:
    pair = both(SAMPLED | ONE_TOKEN[name])
    assert pair.ours == pair.stock


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("record", ["off", "summary"])
def test_left_to_stock_generate(
    both: Callable[..., Pair], name: str, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    value, called = STOCK[name]
    pair = both(GREEDY | {name: value}, record=record)
    assert pair.ours == pair.stock
    assert f"{called}: stock generate decodes these responses" in warned(caplog)


@pytest.mark.parametrize("name", ["num_beams", "guidance_scale", "prompt_lookup_num_tokens"])
def test_what_has_no_row_a_token_is_not_recorded(
    both: Callable[..., Pair], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    both(GREEDY | {name: STOCK[name][0]})
    assert "these responses are not recorded" in warned(caplog)


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_without_effect(
    both: Callable[..., Pair], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    pair = both(GREEDY | {name: WITHOUT_EFFECT[name]})
    assert pair.ours == pair.stock
    assert warned(caplog) == ""


def test_every_field_is_honoured_or_left_to_stock_generate(tiny_model: Callable[..., Any]) -> None:
    """A field of a newer transformers that nobody has looked at is left to stock generate."""
    model = tiny_model("llama")
    known = {*HONOURED, *ONE_TOKEN, *WITHOUT_EFFECT}
    for name in vars(GenerationConfig()):
        if name in known or name.startswith("_"):
            continue
        if loop_obstacle(model, model, {name: "something"}) is None:
            assert name in UNTESTED, f"{name} is taken for harmless, and no test says so"
    model.generation_config.new_in_some_later_version = 1
    assert loop_obstacle(model, model, {}) is None


#: Taken for harmless, and nothing to run with: what hf itself cannot run, or only a label.
UNTESTED = {
    *["assistant_ensemble_weight", "compile_config", "continuous_batching_config", "do_sample"],
    *["is_assistant", "low_memory", "num_assistant_tokens_schedule", "output_logits"],
    *["pad_token_id", "return_dict_in_generate", "speculation_type", "transformers_version"],
    *["max_length", "use_cache"],
}


def test_a_custom_generate_of_the_users(both: Callable[..., Pair]) -> None:
    def three_words_back(model: Any, input_ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.cat([input_ids, input_ids[:, -3:]], dim=1)

    pair = both(GREEDY | {"custom_generate": three_words_back})
    assert pair.ours == pair.stock
    assert len(set(pair.ours)) > 1


def test_a_generate_of_the_models_own(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As from_pretrained sets it where a model's folder has a custom_generate."""
    model = tiny_model("llama")
    model.generate = lambda input_ids, **kwargs: torch.cat([input_ids, input_ids[:, -3:]], dim=1)
    requests = instances("generate_until", [(p, GREEDY) for p in prompts[:4]])
    stock, ours = (
        cls(model, tokenizer=tokenizer, batch_size=3).generate_until(requests)
        for cls in (HFLM, L2HF)
    )
    assert ours == stock
    assert "a generate of LlamaForCausalLM's own: stock generate decodes" in warned(caplog)


def test_an_argument_that_knows_batches(both: Callable[..., Pair]) -> None:
    """The batch index that it gets would be another one after a row has been dropped."""
    allowed = [list(range(5, 20)), list(range(20, 40)), list(range(40, 60)), list(range(60, 80))]
    settings = GREEDY | {"prefix_allowed_tokens_fn": lambda row, ids: allowed[row]}
    pair = both(settings | {"eos_token_id": list(range(0, 80, 3))})
    assert pair.ours == pair.stock


def test_a_generation_config_object(both: Callable[..., Pair]) -> None:
    config = GenerationConfig(repetition_penalty=3.0, eos_token_id=[7, 9, 11])
    pair = both(GREEDY | {"generation_config": config})
    assert pair.ours == pair.stock


def test_keys_that_json_cannot_hold(both: Callable[..., Pair]) -> None:
    pair = both(GREEDY | {"sequence_bias": {(5,): 9.0, (6, 7): -3.0}})
    assert pair.ours == pair.stock


@pytest.mark.parametrize("limit", [3, 12])
def test_the_models_own_max_new_tokens(
    both: Callable[..., Pair], limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    """generate gives it precedence over max_length, in which lm-eval puts max_gen_toks."""
    pair = both(GREEDY, {"max_new_tokens": limit})
    assert pair.ours == pair.stock
    assert f"max_new_tokens={limit}, and generate heeds that" in warned(caplog)


@pytest.mark.parametrize(("said", "drawn"), [("false", False), ("False", False), ("true", True)])
def test_do_sample_as_a_word(both: Callable[..., Pair], said: str, drawn: bool) -> None:
    """Hf takes any word for true."""
    settings = SAMPLED | {"do_sample": said, "temperature": 1e-4 if drawn else 1.0}
    assert both(settings).ours == both(GREEDY).ours
    with pytest.raises(ConfigError, match=re.escape("do_sample='no' is unknown.")):
        both(SAMPLED | {"do_sample": "no"}, decoding="loop")


def test_an_empty_stop_string(both: Callable[..., Pair], caplog: pytest.LogCaptureFixture) -> None:
    """The one setting that means something else here, which the log states."""
    pair = both(GREEDY | {"until": [""]})
    assert all(len(response.split()) <= 1 for response in pair.stock)
    assert "an empty string, which stops nothing here" in warned(caplog)
    assert pair.ours == both(GREEDY).stock
    assert both(GREEDY | {"until": [""]}, decoding="stock").ours == pair.ours


@pytest.mark.parametrize("until", [5, [5], [["a"]]])
def test_a_stop_string_that_is_no_text(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    until: Any,
) -> None:
    lm = L2HF(tiny_model("llama"), tokenizer=tokenizer)
    with pytest.raises(ConfigError, match=r"until=\[.* holds .*, which is no text"):
        lm.generate_until(instances("generate_until", [("Ada", GREEDY | {"until": until})]))
