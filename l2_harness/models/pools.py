"""What is loaded once for all models of a suite, whichever engines its rows name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from l2_harness.models.capabilities import capabilities
from l2_harness.models.hf.weight_pool import pooled_weights
from l2_harness.models.vllm.engine_pool import pooled_engines


class ModelPools:
    """A pool an engine.

    Args:
        by_engine: engine → its pool, which has ``clear()`` and ``loads``.
    """

    def __init__(self, by_engine: dict[str, Any]) -> None:
        self._by_engine = by_engine

    def make_room(self, model_class: str) -> None:
        """A model of this class comes next: what it doesn't take its weights from is let go."""
        own = capabilities(model_class).pool
        for engine, pool in self._by_engine.items():
            if engine != own:
                pool.clear()


@contextmanager
def pooled_models() -> Iterator[ModelPools]:
    """Within this, models of the same weights share them, a pool an engine."""
    with pooled_weights() as weights, pooled_engines() as engines:
        yield ModelPools({"hf": weights, "vllm": engines})
