"""The text of each token of a response, which needs the tokenizer of the model that gave it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from l2_harness.config.errors import ConfigError
from l2_harness.norms import read_run_settings
from l2_harness.paths import DEMO_MODEL, demo_model_path


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
    from transformers import AutoTokenizer

    settings = read_run_settings(trace_dir, run_id)
    name = tokenizer or settings.get("tokenizer") or settings.get("pretrained")
    source = str(demo_model_path()) if name == DEMO_MODEL else name
    revision = settings.get("revision") if tokenizer is None else None
    try:
        return AutoTokenizer.from_pretrained(source, revision=revision or "main")
    except (OSError, ValueError, TypeError) as error:
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
