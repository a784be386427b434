"""The error that a user sees for a wrong argument."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ConfigError(ValueError):
    """A wrong argument: the message names it, what is allowed, and the way out.

    Attributes:
        argument: the name of the argument that is wrong, None where it is no single one. Of a
            contradiction, the one that asks for what another does not give.
    """

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class StorageError(OSError):
    """What a run has to keep could not be written: what stands is told, and the way on."""


class NumbersError(FloatingPointError):
    """A model gives no numbers: none of its responses so far has finite logits."""


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to ``name``, or None where nothing is close."""
    matches = get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown_value(argument: str, value: object, allowed: Iterable[str]) -> ConfigError:
    """``recursion='nrom' is unknown; did you mean 'norm'? Allowed: off, norm, ...``"""
    allowed = list(allowed)
    return ConfigError(
        f"{argument}={value!r} is unknown{_suggestion(str(value), allowed)} "
        f"Allowed: {', '.join(allowed)}.",
        argument,
    )


def unknown_argument(name: str, own: Iterable[str], inherited: Iterable[str]) -> ConfigError:
    """An argument that neither this project nor the class it builds on knows."""
    own, inherited = sorted(own), sorted(inherited)
    return ConfigError(
        f"model_args holds an unknown argument {name!r}{_suggestion(name, own + inherited)} "
        f"Allowed are ours: {', '.join(own)}; those of lm-eval's class: {', '.join(inherited)}; "
        "and what that class hands on to the library that loads the model.",
        name,
    )


def _suggestion(name: str, allowed: list[str]) -> str:
    match = nearest(name, allowed)
    return f"; did you mean {match!r}?" if match else "."
