"""All of model_args: ours taken out, the rest checked for what lm-eval's ``hf`` can take."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from l2_harness.config.batch_size import batch_size
from l2_harness.config.decoding import DecodingConfig
from l2_harness.config.errors import ConfigError, nearest, unknown_argument, unknown_value
from l2_harness.config.interventions import (
    InterventionConfig,
    intervention_groups,
    read_interventions,
)
from l2_harness.config.looping import LoopingConfig
from l2_harness.config.numbers import as_whole, whole
from l2_harness.config.options import Effect, Parser, options, read_options
from l2_harness.config.recording import RecordingConfig
from l2_harness.config.selection import SelectionConfig

#: What arguments of lm-eval's model classes affect, where it is not the responses.
LM_EVALS_OWN: Mapping[str, Effect] = {
    **dict.fromkeys(("batch_size", "max_batch_size", "device"), "execution"),
    **dict.fromkeys(("eos_string", "tokenizer_backend", "trust_remote_code"), "setup"),
    **dict.fromkeys(("gpu_memory_utilization", "num_concurrent", "parallelize"), "setup"),
    "tensor_parallel_size": "setup",
}

#: Words that ``hf`` hands on, where its annotation says bool.
_WORDS = {
    "parallelize": ("auto",),
    "truncation": ("longest_first", "only_first", "only_second", "do_not_truncate"),
}


@dataclass(frozen=True)
class ModelConfig:
    """All of our arguments, a group each."""

    recording: RecordingConfig
    decoding: DecodingConfig
    interventions: InterventionConfig
    selection: SelectionConfig
    looping: LoopingConfig

    def __post_init__(self) -> None:
        if self.looping.enabled and self.interventions.recursion.enabled:
            raise ConfigError(
                f"loop={self.looping.loop} and recursion={self.interventions.recursion.recursion} "
                "both run layers again, and are rivals: pass one of them.",
                "loop",
            )
        if self.selection.enabled and self.decoding.num_samples < 2:
            raise ConfigError(
                f"selection={self.selection.selection} chooses among samples, and num_samples is "
                f"{self.decoding.num_samples}. Pass num_samples=2 or more; to choose among a "
                "task's repeats, use the filters l2_select, l2_majority and the like.",
                "selection",
            )
        if not self.recording.enabled and (self.selection.enabled or self.selection.coe):
            raise ConfigError(
                "record=off records nothing to choose by: pass record=summary (or record=tokens "
                "with trace_dir=DIR), or leave selection and coe out.",
                "record",
            )
        if self.recording.samples_from is not None and self.interventions.enabled:
            raise ConfigError(
                "samples_from takes samples that were drawn before, and "
                f"{' and '.join(self.interventions.acting())} would act while samples are drawn: "
                "leave samples_from out, or turn the other off.",
                "samples_from",
            )


#: Arguments of lm-eval's classes that are to be more than of the right type.
_PARSED: dict[str, Parser] = {
    "batch_size": batch_size,
    "max_batch_size": whole(1),
    "max_length": whole(1),
}

_GROUPS: dict[str, type] = {
    "recording": RecordingConfig,
    "decoding": DecodingConfig,
    "selection": SelectionConfig,
    "looping": LoopingConfig,
}


def own_arguments() -> dict[str, Effect]:
    """The arguments of ours, each with what it affects."""
    groups = (*_GROUPS.values(), *intervention_groups())
    return {name: o.metadata["affects"] for group in groups for name, o in options(group).items()}


def affecting(args: Mapping[str, Any], *effects: Effect) -> dict[str, Any]:
    """Those of some model_args that have one of these effects."""
    known = {**LM_EVALS_OWN, **own_arguments()}
    return {name: value for name, value in args.items() if known.get(name, "responses") in effects}


def split_model_args(
    args: Mapping[str, Any],
    inherited: Callable[..., Any],
    passed_on: Collection[str] = (),
    config_fields: Callable[[], Iterable[str]] = tuple,
) -> tuple[ModelConfig, dict[str, Any]]:
    """Our configuration, and the arguments that remain for lm-eval's class.

    Args:
        args: model_args as lm-eval parsed them, ``pretrained`` excepted.
        inherited: the ``__init__`` whose signature names lm-eval's own arguments.
        passed_on: further names, which lm-eval's class hands on to what loads the model.
        config_fields: gives the field names of the model's configuration; called only
            where a name is not known otherwise, since it may have to read a file.

    Raises:
        ConfigError: an unknown argument, or a value of the wrong type.
    """
    own = own_arguments()
    rest = {name: value for name, value in args.items() if name not in own}
    hints = _argument_types(inherited)
    unknown = [name for name in rest if name not in hints and name not in passed_on]
    if unknown:
        fields = _fields(config_fields, unknown, [*own, *hints, *passed_on])
        for name in unknown:
            if name not in fields:
                raise unknown_argument(name, own, hints)
    for name, value in rest.items():
        if value is not None and name in _PARSED:
            rest[name] = _PARSED[name](name, value)
        elif name in hints:
            _check_type(name, value, hints[name])
    read: dict[str, Any] = {name: read_options(group, args) for name, group in _GROUPS.items()}
    return ModelConfig(**read, interventions=read_interventions(args)), rest


def _fields(
    config_fields: Callable[[], Iterable[str]], unknown: Collection[str], known: Collection[str]
) -> set[str]:
    """Fields of the configuration; none where it can't be read and a known name is misspelt.

    The misspelt one may be what says where the configuration is, such as ``gguf_file``.
    """
    try:
        return set(config_fields())
    except (OSError, ValueError):
        if any(nearest(name, known) for name in unknown):
            return set()
        raise


def _argument_types(function: Callable[..., Any]) -> dict[str, Any]:
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name != "self"
    ]
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):  # annotations that only a type checker can resolve
        hints = {}
    return {name: hints.get(name, Any) for name in names}


def _check_type(name: str, value: Any, hint: Any) -> None:
    """Refuse what no member of the annotation accepts; anything unfamiliar passes."""
    if value is None:
        return
    words = _WORDS.get(name, ())
    members = _union_members(hint)
    if value in words:
        return
    if not any(_accepts(member, value) for member in members):
        allowed = [word for member in members for word in _words(member)]
        raise unknown_value(name, value, [*allowed, *words])
    if name.endswith("dtype") and isinstance(value, str):
        _check_dtype(name, value)


def _union_members(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        return list(typing.get_args(hint))
    return [hint]


def _accepts(hint: Any, value: Any) -> bool:
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if hint is bool:
        return isinstance(value, bool) or value in (0, 1)
    if hint is int:
        return as_whole(value) is not None
    return hint is not type(None)


def _words(hint: Any) -> list[str]:
    if typing.get_origin(hint) is Literal:
        return [str(word) for word in typing.get_args(hint)]
    return {bool: ["True", "False"], int: ["a whole number"]}.get(hint, [])


def _check_dtype(name: str, value: str) -> None:
    import torch

    if value != "auto" and not isinstance(getattr(torch, value, None), torch.dtype):
        raise unknown_value(name, value, ["auto", "float32", "bfloat16", "float16", "float64"])


__all__ = [
    "LM_EVALS_OWN",
    "ConfigError",
    "ModelConfig",
    "affecting",
    "own_arguments",
    "split_model_args",
]
