"""Where the decode loop cannot run, and why: stock ``generate`` stands in there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What stock ``generate`` does without; said once in the log.
LOST = (
    "each sample is prefilled anew, ended responses are computed to the end of their batch, and "
    "sampled responses change with the batch size"
)

#: Generation settings under which a row is not simply one response that grows by a token a pass.
_OTHER_DECODING = {
    "num_beams": "beam search",
    "num_return_sequences": "num_return_sequences",
    "assistant_model": "assisted decoding",
    "prompt_lookup_num_tokens": "prompt lookup",
    "penalty_alpha": "contrastive search",
    "dola_layers": "DoLa",
    "constraints": "constrained decoding",
    "force_words_ids": "constrained decoding",
}
#: Settings whose logits processors keep a state of the whole batch.
_BATCH_STATE = {
    "guidance_scale": "guidance_scale",
    "encoder_repetition_penalty": "encoder_repetition_penalty",
    "encoder_no_repeat_ngram_size": "encoder_no_repeat_ngram_size",
    "watermarking_config": "watermarking",
}
_NEUTRAL = (None, False, 0, 1, 1.0)


def loop_obstacle(model: Any, causal_lm: Any, generation_kwargs: Mapping[str, Any]) -> str | None:
    """Why these settings cannot be decoded by the loop; None where they can.

    Args:
        model: what ``generate`` is called on.
        causal_lm: the module whose output has the logits.
        generation_kwargs: of ``generate``; the model's own generation_config counts too.
    """
    own = causal_lm.generation_config
    for name, what in {**_OTHER_DECODING, **_BATCH_STATE}.items():
        if generation_kwargs.get(name, getattr(own, name, None)) not in _NEUTRAL:
            return what
    if "max_length" in generation_kwargs:
        return "max_length, which counts the padding of a batch (pass max_gen_toks instead)"
    cache = generation_kwargs.get("cache_implementation", own.cache_implementation)
    if cache not in (None, "dynamic", "hybrid"):
        return f"cache_implementation={cache}"
    return _model_obstacle(model, causal_lm)


def _model_obstacle(model: Any, causal_lm: Any) -> str | None:
    name = type(causal_lm).__name__
    if causal_lm.config.is_encoder_decoder:
        return "an encoder-decoder model"
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
