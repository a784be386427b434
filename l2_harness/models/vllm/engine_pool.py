"""One vLLM engine for all the lm-eval models that are made of the same arguments in turn.

A suite makes a new lm-eval model for each run; within :func:`pooled_engines` those whose engines
differ in nothing but what is done to their responses share one, compiled with stops for all of it.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from l2_harness.engines.vllm.graph_plan import CONFIG_KEY, GraphPlan


@dataclass(eq=False)
class _Held:
    """An engine, its arguments without the plan, and the plan."""

    key: str
    plan: GraphPlan
    llm: Any


class EnginePool:
    """Holds the engine that was asked for last.

    Attributes:
        loads: how often an engine was started.
    """

    def __init__(self) -> None:
        self.loads = 0
        self._held: _Held | None = None

    def make(self, **args: Any) -> Any:
        """In place of ``vllm.LLM``."""
        from vllm import LLM

        config = args.get("additional_config") or {}
        key = _key(args, config)
        plan = GraphPlan.read(config) if CONFIG_KEY in config else GraphPlan()
        held = self._held
        if held is not None and held.key == key:
            if held.plan.serves(plan):
                held.llm.reset_prefix_cache()
                return held.llm
            plan = plan.and_also(held.plan)
        held = None
        self.clear()
        if CONFIG_KEY in config:
            args = {**args, "additional_config": {**config, CONFIG_KEY: plan.as_dict()}}
        llm = LLM(**args)
        self.loads += 1
        self._held = _Held(key, plan, llm)
        return llm

    def clear(self) -> None:
        """Stop the engine; its memory is free once no lm-eval model has it."""
        held, self._held = self._held, None
        if held is None:
            return
        stop_engine(held.llm)
        del held
        gc.collect()


def stop_engine(llm: Any) -> None:
    """End an engine's processes, and what it holds in this one."""
    from vllm.distributed import cleanup_dist_env_and_memory

    llm.llm_engine.engine_core.shutdown()
    cleanup_dist_env_and_memory()


_current: EnginePool | None = None


def current_pool() -> EnginePool | None:
    """The pool that engines are to come from, None where each model has its own."""
    return _current


@contextmanager
def pooled_engines() -> Iterator[EnginePool]:
    """Within this, every ``l2vllm`` takes its engine from a pool."""
    global _current
    before, pool = _current, EnginePool()
    _current = pool
    try:
        yield pool
    finally:
        _current = before
        pool.clear()


def _key(args: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """All that an engine is made of, but for what is built into its model."""
    others = {k: v for k, v in config.items() if k != CONFIG_KEY}
    return json.dumps({**args, "additional_config": others}, sort_keys=True, default=str)
