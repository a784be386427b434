"""vLLM's worker with a watch over its model. Imported by vLLM, in the processes that run it."""

from __future__ import annotations

import json
from typing import Any

import torch
from vllm.platforms import current_platform

from l2_harness.config.looping import LoopingConfig
from l2_harness.config.options import read_options
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.vllm.graph_plan import LOOP_KEY, GraphPlan
from l2_harness.engines.vllm.layer_stops import install
from l2_harness.engines.vllm.looped_layers import loop_layers
from l2_harness.engines.vllm.step_watcher import StepWatcher, WorkerRun
from l2_harness.engines.vllm.wire import packed

if current_platform.is_cpu():
    from vllm.v1.worker.cpu_worker import CPUWorker as PlatformWorker
else:
    from vllm.v1.worker.gpu_worker import Worker as PlatformWorker


class WatchingWorker(PlatformWorker):
    """The platform's worker; the methods named ``l2_…`` are called from outside."""

    def load_model(self, **kwargs: Any) -> None:
        """Load the model, and put the hooks in before it is traced and compiled."""
        super().load_model(**kwargs)
        runner, config = self.model_runner, self.vllm_config
        plan = GraphPlan.read(config.additional_config)
        most = config.scheduler_config.max_num_batched_tokens
        layers, doses = list(find_decoder_layers(runner.model)), None
        if LOOP_KEY in config.additional_config:
            looping = read_options(LoopingConfig, config.additional_config[LOOP_KEY])
            layers, doses = loop_layers(runner, looping, most)
        norms = install(layers, plan, most)
        self._watcher = StepWatcher(runner, layers, norms, doses)
        self._around("_model_forward", self._watcher.forward)
        self._around("_sample", self._watcher.sample)

    def execute_model(self, scheduler_output: Any) -> Any:
        """A step; who is new and who is over is noted first."""
        with torch.inference_mode():
            self._watcher.schedule(scheduler_output)
        return super().execute_model(scheduler_output)

    def l2_begin(self, text: str) -> bytes:
        """A run begins; the fields of its :class:`WorkerRun` as JSON. Says how many blocks of the
        KV cache stand for the same tokens, one for each kind of attention.
        """
        with torch.inference_mode():
            self._watcher.begin(WorkerRun(**json.loads(text)))
        return packed(len(self.model_runner.kv_cache_config.kv_cache_groups))

    def l2_take(self, text: str) -> bytes:
        """What is there; the argument is JSON of key → tokens of complete responses."""
        lengths = {int(key): n for key, n in json.loads(text).items()}
        with torch.inference_mode():
            header, arrays = self._watcher.take(lengths)
        return packed(header, arrays)

    def l2_drop(self) -> None:
        """Nothing that is under way is wanted any more."""
        with torch.inference_mode():
            self._watcher.drop()

    def l2_loop_dose(self) -> bytes:
        """Of a looped model: rows that were decoded in this run, and the sum of their doses."""
        return packed(self._watcher.loop_dose())

    def l2_trial(self, text: str) -> bytes:
        """After a trial request: what is wrong with layers (a JSON list) that are run again."""
        return packed(self._watcher.try_out(json.loads(text)))

    def _around(self, name: str, outer: Any) -> None:
        """Put our function around a method of the runner."""
        inner = getattr(self.model_runner, name)

        def both(*args: Any, **kwargs: Any) -> Any:
            return outer(inner, *args, **kwargs)

        setattr(self.model_runner, name, both)
