"""Digests that tell whether a recorded response answers the same request again."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def hash_prompt(prompt: str) -> str:
    """SHA-256 of the prompt as 64 hex digits: the ``prompt_hash`` of a trace.

    ``prompt`` is the first of lm-eval's request arguments, as given: the context, or the whole
    text of a loglikelihood_rolling request. Equal to the ``prompt_hash`` in lm-eval's sample
    files (0.4.13, ``utils.hash_string``), so that the two can be compared.
    """
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


def hash_request(request_type: str, prompt: str, arguments: Any = None) -> str:
    """SHA-256 over all that determines a response besides the model, as 64 hex digits.

    Args:
        request_type: generate_until, loglikelihood or loglikelihood_rolling.
        prompt: the context.
        arguments: the rest, made of dicts, lists and plain values: generation settings, seeds,
            the continuation. The order of a dict's keys doesn't count; anything JSON can't
            hold counts by its ``str``.
    """
    canonical = json.dumps([request_type, prompt, arguments], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
