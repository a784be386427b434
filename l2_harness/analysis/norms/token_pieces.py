"""The text of each token of a response, which needs the tokenizer of the model that gave it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from l2_harness.config.errors import ConfigError
from l2_harness.model_tokenizer import model_tokenizer
from l2_harness.norms import read_run_settings


def load_tokenizer(
    trace_dir: str | os.PathLike[str], run_id: str, tokenizer: str | None = None
) -> Any:
    """The tokenizer of a recorded run.

    Args:
        trace_dir: where the run was recorded.
        run_id: which run.
        tokenizer: a folder or hub name in place of the one that the run's settings name; `demo`
            is the packaged model's.

    Raises:
        ConfigError: it cannot be loaded; says how to name another.
    """
    settings = read_run_settings(trace_dir, run_id) if tokenizer is None else {}
    named = settings or {"tokenizer": tokenizer}
    try:
        return model_tokenizer(named)
    except (OSError, ValueError, TypeError, KeyError) as error:
        name = named.get("tokenizer") or named.get("pretrained")
        raise ConfigError(
            f"the tokenizer of {name!r} cannot be loaded ({error}). Pass --tokenizer with a folder "
            "or a hub name."
        ) from error


def token_pieces(tokenizer: Any, tokens: Sequence[int] | np.ndarray) -> list[str]:
    """(T,) the text that each token adds to those before it.

    Joined they are the response's raw text. A character whose bytes lie in several tokens belongs
    to the one that completes it, and the others add nothing.
    """
    ids = [int(token) for token in tokens]
    options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    pieces: list[str] = []
    start = done = 0  # tokens from `start` are decoded together, `done` characters are given out
    for end in range(1, len(ids) + 1):
        text = str(tokenizer.decode(ids[start:end], **options))
        if text.endswith("�") and end < len(ids):
            pieces.append("")  # an unfinished character, or one that is U+FFFD itself
            continue
        pieces.append(text[done:])
        # A few tokens of context are enough for a space that depends on what stands before.
        previous = max(end - 1, start)
        start = previous
        done = len(str(tokenizer.decode(ids[start:end], **options)))
    return pieces
