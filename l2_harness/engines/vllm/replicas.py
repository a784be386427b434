"""Several engines with the same weights, each in a Ray actor, that share the requests.

The actors may lie on other machines of a Ray cluster. Each of them has a whole
:class:`~l2_harness.engines.vllm.engine.VllmEngine`; what it has recorded comes with its answers.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from l2_harness.engines.vllm.engine import Answer, Ask, EngineFacts, VllmEngine
from l2_harness.engines.vllm.step_watcher import WorkerRun

#: What vLLM's own data parallelism sets, and would find in an actor.
_OTHERS = ("VLLM_DP_RANK", "VLLM_DP_RANK_LOCAL", "VLLM_DP_SIZE", "VLLM_DP_MASTER_IP",
           "VLLM_DP_MASTER_PORT")  # fmt: skip


class Replica:
    """One engine, in an actor."""

    def __init__(self, args: Mapping[str, Any], watched: bool, lora: Any) -> None:
        for name in _OTHERS:
            os.environ.pop(name, None)
        from vllm import LLM

        # an engine inside an actor must not ask Ray for more of them
        own = {k: v for k, v in args.items() if k != "distributed_executor_backend"}
        self._engine = VllmEngine(LLM(**own), watched, lora)

    def facts(self) -> EngineFacts:
        """Of the engine."""
        return self._engine.facts

    def begin(self, run: WorkerRun) -> None:
        """As the engine's."""
        self._engine.begin(run)

    def try_out(self, reruns: Sequence[int]) -> None:
        """As the engine's."""
        self._engine.try_out(reruns)

    def loop_dose(self) -> tuple[int, float]:
        """As the engine's."""
        return self._engine.loop_dose()

    def run(self, asks: Sequence[Ask], preempts: bool) -> Iterator[list[Answer]]:
        """As the engine's, an answer's ``ask`` being all that its asker needs: its ``about``."""
        for answers in self._engine.run(asks, preempts):
            yield [replace(a, ask=a.ask.about) for a in answers]


class EngineReplicas:
    """Stands for one engine.

    Args:
        args: of ``vllm.LLM``.
        n: how many replicas.
        watched: whether their workers are ours.
        lora: the adapter of every request.
    """

    def __init__(self, args: Mapping[str, Any], n: int, watched: bool, lora: Any) -> None:
        import ray
        from vllm.platforms import current_platform

        gpus = 0 if current_platform.is_cpu() else int(args.get("tensor_parallel_size") or 1)
        actor = ray.remote(num_gpus=gpus, num_cpus=1)(Replica)
        self._actors = [actor.remote(dict(args), watched, lora) for _ in range(n)]
        weakref.finalize(self, _end, self._actors)
        self.facts: EngineFacts = ray.get(self._actors[0].facts.remote())

    def begin(self, run: WorkerRun) -> None:
        """Tell all of them what is wanted of the responses from now on."""
        self._all("begin", run)

    def try_out(self, reruns: Sequence[int]) -> None:
        """Run layers again on a short request.

        Raises:
            ConfigError: one of them cannot be run again, and why.
        """
        self._all("try_out", list(reruns))

    def loop_dose(self) -> tuple[int, float]:
        """Of all together."""
        rows, totals = zip(*self._all("loop_dose"), strict=True)
        return sum(rows), sum(totals)

    def run(self, asks: Sequence[Ask], preempts: bool = True) -> Iterator[list[Answer]]:
        """Complete responses as they come; every n-th request goes to the same replica."""
        import ray

        n = len(self._actors)
        numbered = [replace(ask, about=i) for i, ask in enumerate(asks)]
        streams = [
            actor.run.options(num_returns="streaming").remote(numbered[i::n], preempts)
            for i, actor in enumerate(self._actors)
        ]
        while streams:
            (ready, *_), _ = ray.wait(streams, num_returns=1)
            try:
                answers = ray.get(next(ready))
            except StopIteration:
                streams.remove(ready)
                continue
            yield [replace(answer, ask=asks[answer.ask]) for answer in answers]

    def _all(self, method: str, *args: Any) -> list[Any]:
        import ray
        from ray.exceptions import RayTaskError

        try:
            asked = [getattr(actor, method).remote(*args) for actor in self._actors]
            found: list[Any] = ray.get(asked)
        except RayTaskError as error:
            raise error.cause from error
        return found


def _end(actors: Sequence[Any]) -> None:
    import ray

    if ray.is_initialized():
        for actor in actors:
            ray.kill(actor)
