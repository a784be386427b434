"""One model's weights, loaded once for all the lm-eval models that are built on them in turn.

A suite makes a new lm-eval model for each run, since its arguments differ; within
:func:`pooled_weights` those whose weights are the same share one torch model. What a user of it
may have left there, hooks and generation settings, is seen to before the next one gets it.
"""

from __future__ import annotations

import copy
import gc
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from lm_eval.models.huggingface import HFLM
from torch import nn

logger = logging.getLogger(__name__)

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")


@dataclass(eq=False)
class _Loaded:
    """A torch model, and how it was when it had just been loaded."""

    key: str
    model: Any
    generation_config: Any
    hooks: int


class WeightPool:
    """Holds the weights that were asked for last.

    Attributes:
        loads: how often weights were loaded.
    """

    def __init__(self) -> None:
        self.loads = 0
        self._held: _Loaded | None = None

    def clear(self) -> None:
        """Let go of the weights; their memory is free once no lm-eval model has them."""
        self._held = None
        gc.collect()
        _empty_device_caches()

    def give(self, lm: Any, arguments: dict[str, Any], load: Any) -> None:
        """Set ``lm._model``, by ``load()`` where these weights are not held.

        Args:
            lm: the HFLM that is being made.
            arguments: those of ``HFLM._create_model``.
            load: loads them into ``lm._model``.
        """
        key = _key(lm, arguments)
        held = self._held
        if held is not None and held.key == key and _intact(held):
            held.model.generation_config = copy.deepcopy(held.generation_config)
            lm._model = held.model
            return
        held = None
        self.clear()
        load()
        self.loads += 1
        model = lm._model
        config = copy.deepcopy(getattr(model, "generation_config", None))
        self._held = _Loaded(key, model, config, _count_hooks(model))


@contextmanager
def pooled_weights() -> Iterator[WeightPool]:
    """Within this, every HFLM, and every class built on it, takes its weights from a pool.

    ``model_args`` that change weights (dtype, revision, quantisation, adapters, device, …) make
    them others. A model that is passed as an object is no affair of the pool.
    """
    pool = WeightPool()
    create = HFLM._create_model

    def pooled(self: Any, pretrained: str, **kwargs: Any) -> None:
        arguments = {"pretrained": pretrained, **kwargs}
        pool.give(self, arguments, lambda: create(self, **arguments))

    try:
        with patch.object(HFLM, "_create_model", pooled):
            yield pool
    finally:
        pool.clear()


def _key(lm: Any, arguments: dict[str, Any]) -> str:
    """All that ``_create_model`` sees; an adapter's loading looks at the tokenizer too."""
    seen = {
        **arguments,
        "class": str(lm.AUTO_MODEL_CLASS),
        "device": str(lm.device),
        "tokens": len(lm.tokenizer) if arguments.get("peft") else None,
        "config": lm.config.to_diff_dict(),
    }
    return json.dumps(seen, sort_keys=True, default=_described)


def _described(value: Any) -> Any:
    """A quantisation's settings are an object; of anything else its text."""
    as_dict = getattr(value, "to_dict", None)
    return as_dict() if callable(as_dict) else str(value)


def _intact(held: _Loaded) -> bool:
    """Whether the last user left the model without hooks of its own."""
    left = _count_hooks(held.model) - held.hooks
    if left:
        logger.warning("%d hooks were left on the model: its weights are loaded anew", left)
    return not left


def _count_hooks(model: nn.Module) -> int:
    return sum(len(getattr(module, name)) for module in model.modules() for name in _HOOKS)


def _empty_device_caches() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
