"""The model_args of a vLLM model: ours, those of lm-eval's ``vllm``, and those of vLLM itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.model_args import ModelConfig, split_model_args
from l2_harness.engines.vllm.release import lm_evals_vllm

#: What cannot be told apart into rows of one response a forward pass, and why.
_REFUSED = {
    "speculative_config": "speculative decoding runs rows that it takes back",
    "speculative_model": "speculative decoding runs rows that it takes back",
    "enable_dbo": "dual batch overlap splits a pass in two",
    "kv_sharing_fast_prefill": "layers that share keys and values skip rows",
}
_REFUSED_SIZES = {
    "pipeline_parallel_size": "pipeline parallel keeps layers in different processes",
    "decode_context_parallel_size": "context parallel keeps parts of a response apart",
    "prefill_context_parallel_size": "context parallel keeps parts of a response apart",
}
#: What lm-eval's class takes, and ignores with a warning.
_IGNORED = ("device", "swap_space")
#: Ours to set.
_OURS = ("worker_cls", "worker_extension_cls", "scheduler_cls")


def split_vllm_args(args: Mapping[str, Any]) -> tuple[ModelConfig, dict[str, Any]]:
    """Our configuration, and the arguments that remain for lm-eval's class.

    Args:
        args: model_args, ``pretrained`` excepted.

    Raises:
        ConfigError: an unknown argument, a value of the wrong type, or one that rules out what is
            asked for.
    """
    from vllm.engine.arg_utils import EngineArgs

    vllm_class = lm_evals_vllm().VLLM
    of_vllm = [field.name for field in fields(EngineArgs)]
    config, inherited = split_model_args(args, vllm_class.__init__, [*of_vllm, *_IGNORED])
    if config.decoding.decoding == "stock":
        raise ConfigError(
            "decoding=stock is transformers' generate, which l2vllm has not. Leave it out, or use "
            "--model vllm.",
            "decoding",
        )
    if config.recording.layers_path is not None:
        raise ConfigError(
            "layers_path names layers of a transformers model; those of vLLM's are found. Leave "
            "it out.",
            "layers_path",
        )
    if watches(config):
        _check_watchable(inherited)
    return config, inherited


def watches(config: ModelConfig) -> bool:
    """Whether anything is asked for that vLLM alone doesn't do."""
    return config.recording.enabled or config.interventions.enabled or config.looping.enabled


def _check_watchable(args: Mapping[str, Any]) -> None:
    """Refuse what rows cannot be recorded under.

    Raises:
        ConfigError: which argument, why, and the way out.
    """
    out = "Leave it out, or pass record=off and no technique, or use --model vllm."
    for name, why in _REFUSED.items():
        if args.get(name):
            raise ConfigError(f"{name}: {why}, so that rows cannot be recorded. {out}", name)
    for name, why in _REFUSED_SIZES.items():
        if int(args.get(name) or 1) > 1:
            raise ConfigError(f"{name}={args[name]}: {why}: not recorded here. {out}", name)
    for name in _OURS:
        if args.get(name) not in (None, "auto"):
            raise ConfigError(f"{name}={args[name]!r} is set by l2vllm itself. {out}", name)
