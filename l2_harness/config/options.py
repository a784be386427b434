"""How one argument is read: a dataclass field with a parser, a line of help, and what it affects.

Each group's frozen dataclass declares its arguments with :func:`option`; the dataclass is then
the only place that knows their names, defaults, allowed values and effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields
from functools import cache
from typing import Any, Literal, TypeVar

from l2_harness.config.errors import ConfigError, unknown_value

Parser = Callable[[str, Any], Any]
T = TypeVar("T")

#: What an argument has a say in, and with that in all that comes after it:
#:
#: - responses: which responses are drawn, and the scores of given texts.
#: - choice: which of the responses that were drawn is lm-eval's answer.
#: - records: what is kept of them.
#: - setup: how the model is reached or spread out: no method of its own, though numbers may
#:   differ in their last digits.
#: - execution: nothing of the above; a rerun may change it and take over what is there.
Effect = Literal["responses", "choice", "records", "setup", "execution"]


def option(
    default: Any,
    parse: Parser,
    help: str,
    *,
    affects: Effect = "responses",
    key: str | None = None,
) -> Any:
    """A dataclass field that :func:`read_options` fills.

    Args:
        default: where the argument is not given; a dict is copied.
        parse: makes its value of the argument's name and what was given.
        help: one line.
        affects: what it has a say in.
        key: how it is written, where that is no name of Python's.
    """
    metadata = {"parse": parse, "help": help, "affects": affects, "key": key}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def options(cls: type) -> Mapping[str, Field[Any]]:
    """The arguments that a configuration dataclass takes: how each is written, and its field."""
    return _options(cls)


@cache
def _options(cls: type) -> Mapping[str, Field[Any]]:
    return {
        spec.metadata["key"] or spec.name: spec for spec in fields(cls) if "parse" in spec.metadata
    }


def option_names(cls: type) -> list[str]:
    """The names of the arguments that a configuration dataclass takes."""
    return list(options(cls))


def read_options(cls: type[T], args: Mapping[str, Any], **given: Any) -> T:
    """An instance of the dataclass ``cls`` from those of ``args`` that belong to it.

    Args:
        cls: with fields of :func:`option`.
        args: name → value, as the user gave it.
        given: fields of ``cls`` that are no options.

    Raises:
        ConfigError: from a field's parser or from ``cls`` itself, with the argument's name.
    """
    for name, spec in options(cls).items():
        if name in args and args[name] is not spec.default:
            given[spec.name] = _parsed(name, spec, args[name])
    return cls(**given)


def _parsed(name: str, spec: Field[Any], value: Any) -> Any:
    try:
        return spec.metadata["parse"](name, value)
    except ConfigError as error:
        error.argument = error.argument or name
        raise


def choice(*allowed: str) -> Parser:
    """One of some words. ``off`` may arrive as False, since YAML reads it so."""

    def parse(name: str, value: Any) -> str:
        word = "off" if value is False and "off" in allowed else str(value).strip()
        if word not in allowed:
            raise unknown_value(name, value, allowed)
        return word

    return parse


def boolean(name: str, value: Any) -> bool:
    """true or false, in any case."""
    words = {"true": True, "false": False}
    if str(value).strip().lower() not in words:
        raise unknown_value(name, value, words)
    return words[str(value).strip().lower()]


def text(meaning: str) -> Parser:
    """A text that is not blank; lm-eval may have read digits as a number."""

    def parse(name: str, value: Any) -> str:
        if value is None or isinstance(value, bool) or not str(value).strip():
            what = "is no text" if isinstance(value, bool) else "is empty"
            raise ConfigError(f"{name}={value!r} {what}. Pass {meaning}, or leave {name} out.")
        return str(value).strip()

    return parse
