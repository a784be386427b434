"""What ``l2vllm`` is before it runs anything: its arguments, its engine, its recorder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from l2_harness.config import ConfigError
from l2_harness.config.model_args import ModelConfig
from l2_harness.engines.decoder_layers import number_of_layers
from l2_harness.engines.hf.loading import model_fingerprint, read_config, resolve_pretrained
from l2_harness.engines.hf.looped_model import mean_dose
from l2_harness.engines.vllm.engine import VllmEngine
from l2_harness.engines.vllm.engine_settings import engine_settings
from l2_harness.engines.vllm.graph_plan import GraphPlan
from l2_harness.engines.vllm.release import lm_evals_vllm
from l2_harness.engines.vllm.replicas import EngineReplicas
from l2_harness.engines.vllm.step_watcher import WorkerRun
from l2_harness.engines.vllm.vllm_args import split_vllm_args, watches
from l2_harness.models.evaluated import EvaluatedLM
from l2_harness.models.matched_edits import MatchedEdits
from l2_harness.models.vllm.engine_pool import current_pool
from l2_harness.norms.calibration import threshold_values
from l2_harness.norms.trace_writer import usable_directory

logger = logging.getLogger(__name__)

vllm_causallms = lm_evals_vllm()


class VllmBase(EvaluatedLM, vllm_causallms.VLLM):  # type: ignore[name-defined]
    """VLLM with our arguments beside its own.

    Args:
        pretrained: as for VLLM, or ``demo`` for the model that the package carries.
        **kwargs: arguments of :class:`~l2_harness.config.model_args.ModelConfig`'s groups, VLLM's
            and vLLM's.

    Raises:
        ConfigError: an argument that is unknown, ill-typed or out of range, or a model that a
            technique cannot work on.
    """

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        source = resolve_pretrained(pretrained, kwargs)
        config, inherited = split_vllm_args(kwargs)
        self._read_arguments(config)
        if self._recording.trace_dir is not None:
            usable_directory(self._recording.trace_dir)
        self._watched = watches(config)
        layers: tuple[int, ...] = ()
        values: dict[int, float] = {}
        pool = current_pool()
        make: Any = vllm_causallms.LLM if pool is None else pool.make
        if self._watched:
            n_layers = len(self._looping.path(_n_layers(source, kwargs)))
            layers = self._monitored(n_layers)
            self._acting.check_layers(layers)
            values = threshold_values(self._acting.threshold, layers)
            if self._acting.matching.matched_to is not None:
                self._matched = MatchedEdits(self._acting, layers)
            reruns = self._acting.rerun_layers(layers, n_layers)
            plan = _plan(config, layers, reruns)
            acts = self._acting.enabled or pool is not None
            inherited |= engine_settings(inherited, plan, acts, self._looping)
        with patch.object(vllm_causallms, "LLM", make):
            super().__init__(source, **inherited)
        self._engine: VllmEngine | EngineReplicas
        if self.data_parallel_size > 1:
            self._engine = EngineReplicas(
                self.model_args, self.data_parallel_size, self._watched, self.lora_request
            )
        else:
            self._engine = VllmEngine(self.model, self._watched, self.lora_request)
        if self._watched:
            self.batch_size = "auto"  # vLLM makes its own batches of all that it is given
            self._start(kwargs, layers, values, n_layers, reruns)
        self._plan_evaluations(
            kwargs,
            pretrained=pretrained,
            source=source,
            layers=layers if self._recording.enabled else (),
            weights=model_fingerprint(source, self._config),
            thresholds=values,
            engine="vllm",
        )

    def _start(
        self,
        kwargs: dict[str, Any],
        layers: Sequence[int],
        values: dict[int, float],
        n_layers: int,
        reruns: Sequence[int],
    ) -> None:
        self._engine.begin(
            WorkerRun(
                layers=list(layers),
                records=self._recording.enabled,
                keeps_states=self._selection.keeps_states,
                n_layers=n_layers,
                model_args=self._acting.as_dict() if self._acting.enabled else {},
                values={str(layer): value for layer, value in values.items()},
            )
        )
        if reruns:
            self._engine.try_out(reruns)
        if self._recording.enabled:
            self._say_what_is_recorded(layers)
        if self._acting.enabled:
            self._say_what_acts()

    def get_model_info(self) -> dict[str, Any]:
        """Under ``l2`` what was recorded; lm-eval puts it into the result file."""
        facts, info = self._engine.facts, self._info(self._config)
        if self._looping.enabled:
            info["decoder_layers"] = len(self._looping.path(info["decoder_layers"]))
            info["loop"] = mean_dose(*self._engine.loop_dose())
        return {"model_dtype": facts.dtype, "model_revision": facts.revision, "l2": info}


def _n_layers(source: str, kwargs: dict[str, Any]) -> int:
    config = read_config(source, kwargs)
    if getattr(config, "is_encoder_decoder", False):
        raise ConfigError(
            f"{config.model_type!r} is an encoder-decoder, and l2vllm records decoder-only models. "
            "Pass record=off and no technique, or use --model vllm."
        )
    found = number_of_layers(config)
    if found is None:
        raise ConfigError(
            f"The configuration of {source} doesn't say how many layers the model has, so none "
            "can be watched. Pass record=off and no technique, or use --model vllm."
        )
    return found


def _plan(config: ModelConfig, layers: Sequence[int], reruns: Sequence[int]) -> GraphPlan:
    stops = config.interventions.enabled or config.selection.keeps_states
    edits = {*(layers if stops else ()), *reruns}
    return GraphPlan.of(layers, sorted(edits), reruns)
