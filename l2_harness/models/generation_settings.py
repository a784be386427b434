"""What a task, model_args and the model itself say about generation, brought together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

from l2_harness.config import ConfigError
from l2_harness.config.decoding import SAMPLING, DecodingConfig, asks_to_sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerationSettings:
    """How the responses to some requests are generated.

    Attributes:
        until: stop strings, EOS's own text among them.
        max_gen_toks: the tokens of a response that a prompt must leave room for.
        max_new_tokens: the most tokens of a response.
        do_sample: whether tokens are drawn.
        kwargs: what else ``generate`` gets, ``do_sample`` and the sampling settings included.
    """

    until: list[str]
    max_gen_toks: int
    max_new_tokens: int
    do_sample: bool
    kwargs: dict[str, Any]


def generation_settings(
    gen_kwargs: Mapping[str, Any],
    config: DecodingConfig,
    own: Any,
    *,
    eos: str | None,
    default_max_gen_toks: int,
    where: str,
) -> GenerationSettings:
    """The settings of a request: its gen_kwargs first, then model_args, then the model's own.

    Where none of the first two says whether to sample, decoding is greedy as in lm-eval's
    ``hf``; only for several samples a request the model's generation_config is asked.

    Args:
        gen_kwargs: of lm-eval's request, from the task and ``--gen_kwargs``.
        config: from model_args.
        own: the model's generation_config.
        eos: the text of the EOS token, None where the tokenizer has none.
        default_max_gen_toks: where the request sets no limit.
        where: names the request in errors.

    Raises:
        ConfigError: several samples of greedy decoding; a temperature that cannot sample; no
            room for a response; a do_sample or a stop string that is none.
    """
    do_sample = _do_sample(gen_kwargs, config, own)
    if config.num_samples > 1 and not do_sample:
        raise ConfigError(
            f"num_samples={config.num_samples} asks for different samples, but {where} is decoded "
            "greedily. Pass --gen_kwargs do_sample=true,temperature=0.6 (or another temperature "
            "above 0), or leave num_samples out."
        )
    chosen = dict(gen_kwargs) | _sampling(gen_kwargs, config, own, do_sample, where)
    kwargs: dict[str, Any] = dict(normalize_gen_kwargs(chosen, default_max_gen_toks))
    until = handle_stop_sequences(_stop_strings(kwargs.pop("until"), where), eos=eos)
    max_gen_toks = kwargs.pop("max_gen_toks")
    if max_gen_toks < 1:
        raise ConfigError(
            f"max_gen_toks={max_gen_toks} ({where}) leaves no room for a response. Pass 1 or more."
        )
    max_new_tokens = _max_new_tokens(max_gen_toks, own)
    return GenerationSettings(until, max_gen_toks, max_new_tokens, do_sample, kwargs)


def _max_new_tokens(max_gen_toks: int, own: Any) -> int:
    """lm-eval passes its limit on as max_length, over which the model's own has precedence."""
    if own.max_new_tokens is None:
        return max_gen_toks
    logger.warning(
        "the model's generation_config has max_new_tokens=%s, and generate heeds that, not "
        "max_gen_toks=%s (as with lm-eval's hf)",
        own.max_new_tokens,
        max_gen_toks,
    )
    return int(own.max_new_tokens)


def _stop_strings(until: Any, where: str) -> list[str]:
    """The stop strings of a request; null, as a YAML file may have it, is none.

    Raises:
        ConfigError: one that is no text.
    """
    strings = [s for s in until if s is not None]
    for string in strings:
        if not isinstance(string, str):
            raise ConfigError(f"until={until!r} ({where}) holds {string!r}, which is no text.")
    if "" in strings:
        logger.warning(
            "until=%r (%s) holds an empty string, which stops nothing here (with lm-eval's hf it "
            "ends every response at its first token)",
            until,
            where,
        )
    return [s for s in strings if s]


def _do_sample(gen_kwargs: Mapping[str, Any], config: DecodingConfig, own: Any) -> bool:
    said = gen_kwargs.get("do_sample")
    if said is not None:
        return asks_to_sample(said)
    for temperature in (gen_kwargs.get("temperature"), config.temperature):
        if temperature is not None:
            return float(temperature) > 0
    return config.num_samples > 1 and bool(own.do_sample)


def _sampling(
    gen_kwargs: Mapping[str, Any], config: DecodingConfig, own: Any, do_sample: bool, where: str
) -> dict[str, Any]:
    """What is said of sampling, in the form that lm-eval and ``generate`` take."""
    if not do_sample:
        return {"do_sample": False, "temperature": 0.0}
    asked = {name: gen_kwargs[name] for name in SAMPLING if gen_kwargs.get(name) is not None}
    found = config.sampling | asked
    # `generate` looks the others up itself; lm-eval would put 0 for a temperature left out
    found.setdefault("temperature", own.temperature or 1.0)
    if float(found["temperature"]) <= 0:
        raise ConfigError(
            f"temperature={found['temperature']} with do_sample=true ({where}) cannot sample. "
            "Pass a temperature above 0, or do_sample=false."
        )
    return found | {"do_sample": True, "temperature": float(found["temperature"])}
