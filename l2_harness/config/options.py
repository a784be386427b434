"""How one model argument is read: a dataclass field with a parser and a line of help.

Each method's frozen dataclass declares its arguments with :func:`option`; the dataclass is
then the only place that knows their names, defaults and allowed values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

from l2_harness.config.errors import ConfigError, unknown_value

Parser = Callable[[str, Any], Any]
T = TypeVar("T")


def option(default: Any, parse: Parser, help: str) -> Any:
    """A dataclass field that :func:`read_options` fills from model_args."""
    return field(default=default, metadata={"parse": parse, "help": help})


def option_names(cls: type) -> list[str]:
    """The names of the arguments that a configuration dataclass takes."""
    return [f.name for f in fields(cls)]


def read_options(cls: type[T], args: Mapping[str, Any]) -> T:
    """An instance of the dataclass ``cls`` from those of ``args`` that belong to it.

    Raises:
        ConfigError: from a field's parser, naming the argument.
    """
    values = {}
    for spec in fields(cls):  # type: ignore[arg-type]
        value = args.get(spec.name, spec.default)
        if value is not spec.default:
            values[spec.name] = spec.metadata["parse"](spec.name, value)
    return cls(**values)


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
            raise ConfigError(f"{name}={value!r} is empty. Pass {meaning}, or leave {name} out.")
        return str(value).strip()

    return parse
