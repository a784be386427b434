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
    canonical = canonical_json([request_type, prompt, arguments])
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def canonical_json(value: Any) -> str:
    """One text for equal values, whatever the order of a dict's keys.

    What JSON cannot hold counts by its ``str``, a dict's keys too (``sequence_bias`` has tuples).
    """
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except TypeError:  # keys that JSON cannot hold, or that don't compare
        return json.dumps(_with_text_keys(value), sort_keys=True, default=str)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, (list, tuple)) else value
