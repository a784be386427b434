"""By which name a transformers function takes the keys and values of earlier positions.

transformers 5.24 renames ``past_key_values`` to ``cache``; models of one's own (trust_remote_code)
keep the name that they were written with. So the name is read from what is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from transformers import GenerationMixin

_NAMES = ("cache", "past_key_values")


def cache_argument(function: Callable[..., Any]) -> str:
    """The name of the argument of ``function`` that is the cache.

    Args:
        function: a model's ``forward``, or what ``generate`` calls on the way to it.

    Raises:
        TypeError: it takes none.
    """
    for name in _NAMES:
        if name in inspect.signature(function).parameters:
            return name
    raise TypeError(f"{getattr(function, '__qualname__', function)} takes no cache")


#: Under which ``generate`` keeps the cache in its ``model_kwargs``, whatever the model calls it.
GENERATE_CACHE = cache_argument(GenerationMixin.prepare_inputs_for_generation)
