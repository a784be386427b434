"""Where the decode loop cannot run, and why: stock ``generate`` stands in there."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig, GenerationMixin

#: What stock ``generate`` does without; said once in the log.
LOST = (
    "each sample is prefilled anew, ended responses are computed to the end of their batch, and "
    "sampled responses change with the batch size"
)

#: Settings that the loop honours: generate makes logits processors of them that treat each row by
#: itself, they say where a response ends or how its prompt is prefilled, or our own cache needs
#: them not.
_HONOURED = """
    begin_suppress_tokens bad_words_ids bos_token_id cache_config do_sample
    eos_token_id epsilon_cutoff eta_cutoff exponential_decay_length_penalty forced_bos_token_id
    forced_eos_token_id max_cache_len max_length max_new_tokens min_length min_new_tokens min_p
    no_repeat_ngram_size pad_token_id prefill_chunk_size remove_invalid_values renormalize_logits
    repetition_penalty sequence_bias suppress_tokens temperature top_h top_k top_p typical_p
    use_cache
"""
#: Settings that change no response where tokens come one a pass: of beams and assistants, of an
#: encoder-decoder model, of what generate returns beside the tokens, of how fast it runs.
_WITHOUT_EFFECT = """
    assistant_confidence_threshold assistant_ensemble_weight assistant_lookbehind
    compile_config continuous_batching_config decoder_start_token_id disable_compile
    diversity_penalty early_stopping is_assistant length_penalty low_memory
    max_matching_ngram_size num_assistant_tokens num_assistant_tokens_schedule num_beam_groups
    output_attentions output_hidden_states output_logits output_scores return_dict_in_generate
    speculation_type target_lookbehind transformers_version
"""
_HARMLESS = frozenset(f"{_HONOURED} {_WITHOUT_EFFECT}".split())

#: What the others are called, where their name doesn't say it.
_CALLED = {
    "num_beams": "beam search",
    "assistant_model": "assisted decoding",
    "assistant_early_exit": "assisted decoding",
    "prompt_lookup_num_tokens": "prompt lookup",
    "penalty_alpha": "contrastive search",
    "dola_layers": "DoLa",
    "constraints": "constrained decoding",
    "force_words_ids": "constrained decoding",
    "watermarking_config": "watermarking",
}
#: The value that switches a setting off, where that isn't None, False or nothing.
_NEUTRAL = {
    "num_beams": 1,
    "num_return_sequences": 1,
    "guidance_scale": 1,
    "encoder_repetition_penalty": 1,
    "encoder_no_repeat_ngram_size": 0,
    "penalty_alpha": 0,
}


def loop_obstacle(model: Any, causal_lm: Any, generation_kwargs: Mapping[str, Any]) -> str | None:
    """Why these settings cannot be decoded by the loop; None where they can.

    Whatever ``generate`` knows and this module does not is such a reason, so that a setting of
    a newer transformers is never silently left out.

    Args:
        model: what ``generate`` is called on.
        causal_lm: the module whose output has the logits.
        generation_kwargs: of ``generate``; the model's own generation_config counts too.
    """
    own = causal_lm.generation_config
    for name in _settings_of_generate():
        value = generation_kwargs.get(name)
        if value is None:
            value = getattr(own, name, None)
        if name not in _HARMLESS and not _is_off(name, value):
            return _CALLED.get(name, f"{name}={value}" if isinstance(value, str) else name)
    if "max_length" in generation_kwargs:
        return "max_length, which counts the padding of a batch (pass max_gen_toks instead)"
    return _model_obstacle(model, causal_lm)


def _settings_of_generate() -> list[str]:
    """The fields of a generation_config, and the arguments that ``generate`` names itself."""
    arguments = inspect.signature(GenerationMixin.generate).parameters.values()
    named = [a.name for a in arguments if a.kind is not a.VAR_KEYWORD and a.name != "self"]
    fields = [name for name in vars(GenerationConfig()) if not name.startswith("_")]
    return [*fields, *named]


def _is_off(name: str, value: Any) -> bool:
    if name == "cache_implementation" and value in ("dynamic", "hybrid"):
        return True
    empty = isinstance(value, (list, tuple, dict, set)) and not value
    return value is None or value is False or empty or value == _NEUTRAL.get(name)


def _model_obstacle(model: Any, causal_lm: Any) -> str | None:
    name = type(causal_lm).__name__
    if causal_lm.config.is_encoder_decoder:
        return "an encoder-decoder model"
    # a class may bring one, and so may the model's folder (custom_generate)
    if getattr(causal_lm.generate, "__func__", None) is not GenerationMixin.generate:
        return f"a generate of {name}'s own"
    # transformers' own test of who brings a cache of another kind
    if "mamba" in name.lower() or not causal_lm._supports_default_dynamic_cache():
        return f"{name}, whose state is not a DynamicCache"
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return "PEFT's prompt learning"
    return _sharding(causal_lm)


def _sharding(causal_lm: Any) -> str | None:
    """Processes that must run their passes together cannot end them apart."""
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
    from transformers.integrations.fsdp import is_fsdp_managed_module

    if is_deepspeed_zero3_enabled() or is_fsdp_managed_module(causal_lm):
        return "weights that are sharded over processes"
    return None
