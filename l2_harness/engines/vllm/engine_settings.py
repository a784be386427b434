"""What vLLM is told so that its model can be watched, beside what the user tells it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from l2_harness.config import ConfigError
from l2_harness.config.looping import LoopingConfig
from l2_harness.engines.vllm.graph_plan import CONFIG_KEY, LOOP_KEY, GraphPlan

logger = logging.getLogger(__name__)

_RUNNER_VARIABLE = "VLLM_USE_V2_MODEL_RUNNER"
_WORKER = "l2_harness.engines.vllm.worker.WatchingWorker"
_SCHEDULER = "l2_harness.engines.vllm.scheduler.ReplayingScheduler"


def engine_settings(
    args: Mapping[str, Any], plan: GraphPlan, acts: bool, looping: LoopingConfig
) -> dict[str, Any]:
    """Arguments of ``vllm.LLM`` to be added to the user's.

    Args:
        args: the user's.
        plan: what is built into the model.
        acts: whether states may be changed.
        looping: which layers are repeated.
    """
    from vllm.platforms import current_platform

    _choose_runner()
    own = dict(_as_dict(args, "additional_config"))
    own[CONFIG_KEY] = plan.as_dict()
    if looping.enabled:
        own[LOOP_KEY] = looping.as_dict()
    settings: dict[str, Any] = {"worker_cls": _WORKER, "additional_config": own}
    if acts:
        # preempted responses are replayed, and each step is settled before the next is planned
        settings |= {"scheduler_cls": _SCHEDULER, "async_scheduling": False}
    if plan.visits and not current_platform.is_cpu() and not args.get("enforce_eager"):
        settings["compilation_config"] = _with_stops(_as_dict(args, "compilation_config"))
    if args.get("enforce_eager"):
        logger.info("enforce_eager=True: nothing is compiled, so that vLLM runs at its slowest")
    if current_platform.is_cpu() and "enable_chunked_prefill" not in args:
        # a seeded draw in a chunked prefill fails on CPUs
        settings["enable_chunked_prefill"] = False
    return settings


def _choose_runner() -> None:
    """vLLM's model runner V1: the watch is written for it, and V2 hasn't been tried.

    The variable is read whenever vLLM asks for it, in all of its processes.

    Raises:
        ConfigError: the user asks for the other one.
    """
    if os.environ.get(_RUNNER_VARIABLE, "0") not in ("0", ""):
        raise ConfigError(
            f"{_RUNNER_VARIABLE}={os.environ[_RUNNER_VARIABLE]} asks for vLLM's model runner V2, "
            "and l2vllm records in V1. Unset it, or use --model vllm."
        )
    if _RUNNER_VARIABLE not in os.environ:
        os.environ[_RUNNER_VARIABLE] = "0"
        logger.info("vLLM's model runner V1 is used, the one that is watched (not V2)")


def _with_stops(given: Mapping[str, Any]) -> dict[str, Any]:
    """A compilation config in which compiled pieces, and CUDA graphs, end at the stops."""
    from vllm.config import CompilationConfig

    from l2_harness.engines.vllm.layer_stops import STOP_OP

    split = given.get("splitting_ops")
    if split is None:
        split = [
            *CompilationConfig._attention_ops,
            "vllm::unified_kv_cache_update",
            "vllm::unified_mla_kv_cache_update",
        ]
    return {**given, "splitting_ops": [*split, STOP_OP], "cudagraph_mode": "PIECEWISE"}


def _as_dict(args: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An argument that holds several settings, as a mapping or as JSON.

    Raises:
        ConfigError: it is neither.
    """
    value = args.get(name) or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}={args[name]!r} is no JSON object. Pass one, or leave it out.")
    return value
