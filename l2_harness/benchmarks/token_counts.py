"""The tokens of a response, counted for a model class that hands over its text alone."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from l2_harness.answers import TokenLimit
from l2_harness.model_tokenizer import model_tokenizer

logger = logging.getLogger(__name__)

#: What lm-eval's classes call the limit, the first one in force.
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
#: model_args that say which tokenizer, and from where.
_NAMING = (
    *("tokenizer", "pretrained", "model"),
    *("revision", "subfolder", "gguf_file", "trust_remote_code"),
)


def token_limit(gen_kwargs: Mapping[str, Any], metadata: Mapping[str, Any]) -> TokenLimit:
    """What a task knows of the limit on its responses.

    Args:
        gen_kwargs: of its requests.
        metadata: of the task; lm-eval puts the model_args there.
    """
    given = (gen_kwargs.get(name) for name in _LIMITS)
    most = next((int(value) for value in given if value is not None), None)
    return TokenLimit(most, _counter(metadata), not metadata.get("think_end_token"))


def _counter(metadata: Mapping[str, Any]) -> Callable[[str], int | None] | None:
    """Counts by the model's tokenizer, which is loaded when the first text needs it."""
    named = {name: str(metadata[name]) for name in _NAMING if metadata.get(name)}
    if not named.keys() & {"tokenizer", "pretrained", "model"}:
        return None

    def count(text: str) -> int | None:
        tokenizer = _tokenizer(tuple(named.items()))
        if tokenizer is None:
            return None
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return count


@functools.lru_cache(maxsize=4)
def _tokenizer(named: tuple[tuple[str, str], ...]) -> Any:
    """None where it can't be loaded, which is logged once."""
    try:
        return model_tokenizer(dict(named))
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning(
            "the tokenizer of %s cannot be loaded (%s), so it isn't known which responses were cut "
            "off; pass tokenizer=NAME in --model_args, or in --metadata",
            ", ".join(f"{name}={value}" for name, value in named),
            str(error).strip().partition("\n")[0],
        )
        return None
