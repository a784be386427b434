"""What ``l2hf`` is before it runs anything: its arguments, its recorder, its processes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lm_eval.models.huggingface import HFLM
from torch import nn

from l2_harness.config import ConfigError
from l2_harness.config.options import option_names
from l2_harness.config.recording import RecordingConfig
from l2_harness.config.selection import SelectionConfig
from l2_harness.engines.decoder_layers import causal_lm, find_decoder_layers, number_of_layers
from l2_harness.engines.hf.hf_args import split_hf_args
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.loading import model_fingerprint, resolve_pretrained
from l2_harness.engines.hf.looped_model import LoopDose, looped_model
from l2_harness.engines.hf.rerun_check import check_rerun
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.interventions import InterventionRun
from l2_harness.models.broken_numbers import no_numbers
from l2_harness.models.evaluated import EvaluatedLM
from l2_harness.models.evaluation import Tally
from l2_harness.models.matched_edits import MatchedEdits
from l2_harness.norms.calibration import threshold_values
from l2_harness.norms.directions import read_directions
from l2_harness.norms.trace_writer import usable_directory

logger = logging.getLogger(__name__)

#: Arguments by which a user asks for a record, which is otherwise made where it can be.
_ASKS_FOR_RECORD = frozenset([*option_names(RecordingConfig), *option_names(SelectionConfig)])


class HFBase(EvaluatedLM, HFLM):
    """HFLM with our arguments beside its own.

    Args:
        pretrained: as for HFLM, or ``demo`` for the model that the package carries.
        **kwargs: arguments of :class:`~l2_harness.config.model_args.ModelConfig`'s groups,
            and HFLM's.

    Raises:
        ConfigError: an argument that is unknown, ill-typed or out of range.
    """

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        source = resolve_pretrained(pretrained, kwargs)
        config, inherited = split_hf_args(kwargs, source)
        self._read_arguments(config)
        self._tensor_parallel = inherited.get("tp_plan") is not None
        super().__init__(source, **inherited)
        self._loop_dose: LoopDose | None = None
        if self._looping.enabled:
            self._loop_layers()
        self._causal_lm: Any = causal_lm(self.model)
        self._hooks = self._start_interventions() if self._acting.enabled else None
        records = self._recording.enabled and self._can_record(kwargs)
        self._plan_evaluations(
            kwargs,
            pretrained=pretrained,
            source=source,
            layers=self._start_recording() if records else (),
            rank=self.rank,
            weights=model_fingerprint(source, self.config),
            thresholds=self._hooks.values if self._hooks is not None else {},
        )

    def _create_model(self, *args: Any, **kwargs: Any) -> None:
        """Refuse what can be refused before the weights load."""
        n_layers = number_of_layers(self.config)
        asks = self._recording.enabled or self._acting.enabled
        if asks and n_layers is not None and not self._recording.layers_path:
            n_layers = len(self._looping.path(n_layers))
            self._acting.check_layers(self._recording.layers.resolve(n_layers))
        if self._recording.trace_dir is not None:
            usable_directory(self._recording.trace_dir)
        super()._create_model(*args, **kwargs)

    def _loop_layers(self) -> None:
        """From now on the model is a deeper one, whose layers are counted through."""
        self._watched_layers()
        found, self._loop_dose = looped_model(
            self.model, self._looping, self._recording.layers_path
        )
        self._model = found

    def _can_record(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether there are decoder layers to watch.

        Raises:
            ConfigError: there are none, and the arguments ask for a record; by default the
                model runs without one.
        """
        try:
            self._watched_layers()
        except ConfigError as error:
            if not _ASKS_FOR_RECORD.isdisjoint(kwargs):
                raise
            logger.warning("nothing is recorded: %s", error)
            return False
        return True

    def _watched_layers(self) -> nn.ModuleList:
        if self.backend != "causal":
            raise ConfigError(
                f"l2hf records decoder-only models, and {self.config.model_type!r} runs as "
                f"{self.backend}. Pass record=off, or use --model hf."
            )
        return find_decoder_layers(self.model, self._recording.layers_path)

    def _start_recording(self) -> tuple[int, ...]:
        """Set up what is watched: the monitored layers."""
        decoder_layers = self._watched_layers()
        layers = self._monitored(len(decoder_layers))
        self._norms = ResidualNorms(
            [decoder_layers[i] for i in layers], self._selection.keeps_states
        )
        if self._recording.trace_dir is not None:
            usable_directory(self._recording.trace_dir)
        self._say_what_is_recorded(layers)
        return layers

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
        if self._acting.steering.steering_directions is not None:
            read_directions(self._acting.steering.steering_directions, layers)
        if self._acting.matching.matched_to is not None:
            self._matched = MatchedEdits(self._acting, layers)
        run = InterventionRun(self._acting, layers, values)
        hooks = LayerHooks(run, list(decoder_layers), self._causal_lm)
        if hooks.rerun_layers:
            again = {i: decoder_layers[i] for i in hooks.rerun_layers}
            check_rerun(self._causal_lm, again, scored=self._acts_on_scores)
        self._say_what_acts()
        return hooks

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
        """Meet the other processes, and merge what they counted.

        lm-eval calls this in every process after each type of request, and asks for
        :meth:`get_model_info` in one process only, where it is too late to ask the others.
        """
        if self.world_size > 1:
            tallies = super().gather_object(self._evaluation.tally)
            whole = self._evaluation.whole = Tally.merged(tallies) if tallies else None
            if whole is not None and whole.only_broken:
                raise no_numbers(whole.broken)
        self._drop_padding()
        super().barrier()

    def get_model_info(self) -> dict[str, Any]:
        """HFLM's, and under ``l2`` what was recorded; lm-eval puts it into the result file."""
        # of the model, since model_args may have changed what its config.json says
        info = self._info(self._causal_lm.config)
        if self._loop_dose is not None:
            info["loop"] = self._loop_dose.as_dict()
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
