"""What ``l2hf`` is before it runs anything: its arguments, its recorder, its processes."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from tqdm import tqdm

from l2_harness import __version__
from l2_harness.config import ConfigError
from l2_harness.config.model_args import affecting, split_model_args
from l2_harness.engines.hf.decoder_layers import causal_lm, find_decoder_layers, number_of_layers
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.loading import (
    config_field_names,
    model_fingerprint,
    resolve_pretrained,
)
from l2_harness.engines.hf.rerun_check import check_rerun
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.interventions import InterventionRun, InterventionTotals
from l2_harness.models.recorder import RunRecorder
from l2_harness.models.sample_source import SampleSource
from l2_harness.norms.calibration import threshold_values
from l2_harness.norms.summary import NormSummary
from l2_harness.norms.trace_writer import usable_directory
from l2_harness.selection.chain_of_embedding import MIN_LAYERS

logger = logging.getLogger(__name__)


class HFBase(HFLM):
    """HFLM with our arguments beside its own.

    Args:
        pretrained: as for HFLM, or ``demo`` for the model that the package carries.
        **kwargs: arguments of :class:`~l2_harness.config.model_args.ModelConfig`'s groups,
            and HFLM's.

    Raises:
        ConfigError: an argument that is unknown, ill-typed or out of range.
    """

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        source = resolve_pretrained(pretrained)
        config, inherited = split_model_args(
            kwargs, HFLM.__init__, lambda: config_field_names(source, kwargs)
        )
        self._recording, self._decoding = config.recording, config.decoding
        self._acting = config.interventions
        self._selection = config.selection
        # lm-eval has seeded torch with its --seed by now
        self._seed = torch.initial_seed() if self._decoding.seed is None else self._decoding.seed
        self._tensor_parallel = inherited.get("tp_plan") is not None
        super().__init__(source, **inherited)
        self._causal_lm: Any = causal_lm(self.model)
        self._merged_summary: NormSummary | None = None
        self._totals = InterventionTotals()
        self._merged_totals: InterventionTotals | None = None
        self._hooks = self._start_interventions() if self._acting.enabled else None
        self._recorder: RunRecorder | None = None
        self._source: SampleSource | None = None
        if self._recording.enabled:
            settings = _settings(pretrained, kwargs)
            settings |= {"weights": model_fingerprint(source, self.config), "seed": self._seed}
            settings |= {"thresholds": self._hooks.values if self._hooks is not None else {}}
            self._recorder = self._start_recording(settings)
            if self._recording.samples_from is not None:
                self._source = SampleSource(
                    self._recording.samples_from, settings, self._selection.keeps_states
                )

    def _create_model(self, *args: Any, **kwargs: Any) -> None:
        """Refuse what can be refused before the weights load."""
        n_layers = number_of_layers(self.config)
        asks = self._recording.enabled or self._acting.enabled
        if asks and n_layers is not None and not self._recording.layers_path:
            self._acting.check_layers(self._recording.layers.resolve(n_layers))
        if self._recording.trace_dir is not None:
            usable_directory(self._recording.trace_dir)
        super()._create_model(*args, **kwargs)

    def _start_recording(self, settings: dict[str, Any]) -> RunRecorder:
        if self.backend != "causal":
            raise ConfigError(
                f"l2hf records decoder-only models, and {self.config.model_type!r} runs as "
                f"{self.backend}. Pass record=off, or use --model hf."
            )
        decoder_layers = find_decoder_layers(self.model, self._recording.layers_path)
        layers = self._recording.layers.resolve(len(decoder_layers))
        if self._selection.keeps_states and len(layers) < MIN_LAYERS:
            raise ConfigError(
                f"Chain-of-Embedding follows a response from layer to layer and needs "
                f"{MIN_LAYERS} of them; layers={self._recording.layers} is {list(layers)} in this "
                "model. Pass layers=all, or a longer list."
            )
        self._norms = ResidualNorms(
            [decoder_layers[i] for i in layers], self._selection.keeps_states
        )
        settings |= {"monitored_layers": list(layers), "l2_harness": __version__}
        logger.info("recording (%s) the norms of layers %s", self._recording.record, list(layers))
        return RunRecorder(self._recording, layers, settings, self.rank)

    def _start_interventions(self) -> LayerHooks:
        """Set the techniques up, and try out what they need of the model.

        Raises:
            ConfigError: a model, or a layer of it, that they cannot work on.
        """
        if self.backend != "causal" or self._decoding.decoding == "stock":
            raise ConfigError(
                "recursion, steering and suppression work in the decode loop on decoder-only "
                f"models; this is {self.config.model_type!r} with decoding="
                f"{self._decoding.decoding}. Pass decoding=loop, or recursion=off, steering=off "
                "and suppression=off."
            )
        decoder_layers = find_decoder_layers(self.model, self._recording.layers_path)
        layers = self._recording.layers.resolve(len(decoder_layers))
        values = threshold_values(self._acting.threshold, layers)
        run = InterventionRun(self._acting, layers, values)
        hooks = LayerHooks(run, list(decoder_layers), self._causal_lm)
        if hooks.rerun_layers:
            again = {i: decoder_layers[i] for i in hooks.rerun_layers}
            check_rerun(self._causal_lm, again, scored=self._acts_on_scores)
        for name, value in self._acting.as_dict().items():
            logger.info("intervention setting %s=%s", name, value)
        if self._acting.threshold.threshold_scope == "pooled":
            logger.warning(
                "threshold_scope=pooled: a response depends on all that ran before it, so another "
                "batch size, another order or a resumed run gives other responses"
            )
        return hooks

    @property
    def _acts_on_scores(self) -> bool:
        return self._acting.enabled and self._acting.threshold.intervene_on == "all"

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Say what ``--use_cache`` costs: a cached response never runs the model."""
        super().set_cache_hook(cache_hook)
        if self._recorder is not None:
            logger.warning("responses that --use_cache answers have no norms and no traces")

    # -- processes ------------------------------------------------------------------------

    @property
    def rank(self) -> int:
        """This process's number over all nodes; HFLM's own is the local one."""
        return self.accelerator.process_index if self._data_parallel else 0

    @property
    def world_size(self) -> int:
        """Processes that share the documents: on GPUs as on CPUs."""
        return self.accelerator.num_processes if self._data_parallel else 1

    @property
    def _data_parallel(self) -> bool:
        return hasattr(self, "accelerator") and not self._tensor_parallel

    def barrier(self) -> None:
        """Meet the other processes, and merge what they recorded.

        lm-eval calls this in every process after each type of request, and asks for
        :meth:`get_model_info` in one process only, where it is too late to ask the others.
        """
        if self._recorder is not None and self.world_size > 1:
            summaries = self.gather_object(self._recorder.summary)
            self._merged_summary = NormSummary.merged(summaries) if summaries else None
        if self._hooks is not None and self.world_size > 1:
            totals = self.gather_object(self._totals)
            self._merged_totals = InterventionTotals.merged(totals) if totals else None
        super().barrier()

    def get_model_info(self) -> dict[str, Any]:
        """HFLM's, and under ``l2`` what was recorded; lm-eval puts it into the result file."""
        info: dict[str, Any] = {
            "record": self._recording.record,
            "num_samples": self._decoding.num_samples,
            "seed": self._seed,
            "decoder_layers": number_of_layers(self.config),
        }
        if self._selection.enabled:
            info |= {
                "selection": self._selection.selection,
                "selection_on": self._selection.selection_on,
            }
        if self._recorder is not None:
            summary = self._merged_summary or self._recorder.summary
            info |= {
                "run_id": self._recorder.run_id,
                "trace_dir": self._recording.trace_dir,
                **summary.as_dict(),
            }
        if self._hooks is not None:
            totals = self._merged_totals or self._totals
            logger.info("%s", totals.line())
            info["interventions"] = {"settings": self._acting.as_dict(), **totals.as_dict()}
        return {**super().get_model_info(), "l2": info}

    # -- batches --------------------------------------------------------------------------

    @contextmanager
    def _one_batch(self, size: int) -> Iterator[None]:
        """HFLM takes ``size`` requests as one batch, whatever its own batch size is."""
        own = self.batch_size_per_gpu
        self.batch_size_per_gpu: int | str = size
        try:
            yield
        finally:
            self.batch_size_per_gpu = own

    @contextmanager
    def _progress(self, what: str, total: int, disable: bool) -> Iterator[Callable[[int], Any]]:
        hidden = disable or self.rank != 0 or not total
        with tqdm(total=total, disable=hidden, desc=f"Running {what} requests") as bar:
            yield bar.update

    def _raw_text(self, tokens: Sequence[int]) -> str:
        return self.tok_decode(tokens, skip_special_tokens=False)


def _settings(pretrained: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What determines the responses; a model object is no model that a rerun could name."""
    name = pretrained if isinstance(pretrained, str) else f"object {secrets.token_hex(8)}"
    own = affecting(kwargs, "responses", "choice", "records", "setup")
    return {"pretrained": name, **{k: str(v) for k, v in own.items()}}
