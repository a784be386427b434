"""What ``l2hf`` is before it runs anything: its arguments, its recorder, its processes."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM
from torch import nn
from tqdm import tqdm

from l2_harness import __version__
from l2_harness.config import ConfigError
from l2_harness.config.interventions import spelled_out
from l2_harness.config.model_args import affecting
from l2_harness.config.options import option_names
from l2_harness.config.recording import RecordingConfig
from l2_harness.config.selection import SelectionConfig
from l2_harness.engines.hf.decoder_layers import causal_lm, find_decoder_layers, number_of_layers
from l2_harness.engines.hf.hf_args import split_hf_args
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.loading import model_fingerprint, resolve_pretrained
from l2_harness.engines.hf.looped_model import LoopDose, looped_model
from l2_harness.engines.hf.rerun_check import check_rerun
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.model_files import model_files
from l2_harness.interventions import InterventionRun
from l2_harness.models.evaluation import Evaluation, RunPlan, Tally
from l2_harness.models.matched_edits import MatchedEdits
from l2_harness.models.recorder import RunRecorder, run_id
from l2_harness.models.response_cache import keep_apart
from l2_harness.models.terminal_log import terminal_log
from l2_harness.norms.calibration import threshold_values
from l2_harness.norms.directions import directions_digest, read_directions
from l2_harness.norms.trace_writer import usable_directory
from l2_harness.selection.chain_of_embedding import MIN_LAYERS

logger = logging.getLogger(__name__)

#: Arguments by which a user asks for a record, which is otherwise made where it can be.
_ASKS_FOR_RECORD = frozenset([*option_names(RecordingConfig), *option_names(SelectionConfig)])


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
        source = resolve_pretrained(pretrained, kwargs)
        config, inherited = split_hf_args(kwargs, source)
        self._recording, self._decoding = config.recording, config.decoding
        self._acting = config.interventions
        self._selection = config.selection
        self._looping = config.looping
        self._tensor_parallel = inherited.get("tp_plan") is not None
        super().__init__(source, **inherited)
        self._loop_dose: LoopDose | None = None
        if self._looping.enabled:
            self._loop_layers()
        self._causal_lm: Any = causal_lm(self.model)
        self._matched: MatchedEdits | None = None
        self._hooks = self._start_interventions() if self._acting.enabled else None
        records = self._recording.enabled and self._can_record(kwargs)
        layers = self._start_recording() if records else ()
        settings = _settings(pretrained, kwargs)
        settings |= {
            "model_files": model_files({**kwargs, "pretrained": source}),
            "weights": model_fingerprint(source, self.config),
            "thresholds": self._hooks.values if self._hooks is not None else {},
            "monitored_layers": list(layers),
            "l2_harness": __version__,
        }
        if self._acting.steering.steering_directions is not None:
            settings["directions"] = directions_digest(self._acting.steering.steering_directions)
        if self._matched is not None:
            settings["matched_run"] = self._matched.run_id
        self._plan = RunPlan(config, settings, layers, self.rank, self.think_end_token is not None)
        self._is_over = False
        self._begun = False
        self._evaluation = Evaluation(
            self._plan, self._current_seed(), may_change=self._decoding.seed is None
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
        layers = self._recording.layers.resolve(len(decoder_layers))
        if len(decoder_layers) == 1 and self._recording.layers.preset == "late":
            logger.warning(
                "layers=late leaves the last layer out, and this model has only one: it is recorded"
            )
        if self._selection.keeps_states and len(layers) < MIN_LAYERS:
            raise ConfigError(
                f"Chain-of-Embedding follows a response from layer to layer and needs "
                f"{MIN_LAYERS} of them; layers={self._recording.layers} is {list(layers)} in this "
                "model. Pass layers=all, or a longer list."
            )
        self._norms = ResidualNorms(
            [decoder_layers[i] for i in layers], self._selection.keeps_states
        )
        if self._recording.trace_dir is not None:
            usable_directory(self._recording.trace_dir)
        terminal_log.info(
            "recording (%s) the norms of layers %s", self._recording.record, list(layers)
        )
        return tuple(layers)

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
        for name, value in self._acting.as_dict().items():
            logger.info("intervention setting %s=%s", name, value)
        if self._acting.threshold.threshold_scope == "pooled":
            logger.warning(
                "threshold_scope=pooled (preset=%s): thresholds follow all responses so far, so "
                "that another batch size, another order or a resumed run gives other events",
                self._acting.preset,
            )
        return hooks

    @property
    def _acts_on_scores(self) -> bool:
        return self._acting.enabled and self._acting.threshold.intervene_on == "all"

    # -- evaluations ----------------------------------------------------------------------

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Keep ``--use_cache`` to what it can know, and say what it costs."""
        super().set_cache_hook(cache_hook)
        if cache_hook.dbdict is None:
            return
        keep_apart(cache_hook, self._cache_mark())
        if self._recording.enabled:
            logger.warning("responses that --use_cache answers have no norms and no traces")

    def _cache_mark(self) -> str:
        """Empty where a greedy response is that of any plain run."""
        plain = not (self._acting.enabled or self._selection.enabled)
        if plain and self._decoding.num_samples == 1 and not self._decoding.sampling:
            return ""
        settings = {k: v for k, v in self._plan.settings.items() if k != "record"}
        return f"l2_harness {run_id({**settings, 'seed': self._current_seed()})} "

    def _begin_requests(self) -> Evaluation:
        """The evaluation that requests belong to: a new one where the one before is over."""
        seed = self._current_seed()
        if self._is_over or (not self._begun and self._evaluation.needs_renewal(seed)):
            self._evaluation = Evaluation(self._plan, seed)
        self._begun, self._is_over = True, False
        return self._evaluation

    def _current_seed(self) -> int:
        """lm-eval seeds torch with its ``--seed`` when an evaluation starts."""
        return torch.initial_seed() if self._decoding.seed is None else self._decoding.seed

    @property
    def _seed(self) -> int:
        return self._evaluation.seed

    @property
    def _recorder(self) -> RunRecorder | None:
        return self._evaluation.recorder

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
            self._evaluation.whole = Tally.merged(tallies) if tallies else None
        super().barrier()

    def gather_object(self, obj: Any, dst: int = 0) -> Any:
        """HFLM's. lm-eval gathers samples and metrics, in every process, at an evaluation's end."""
        self._is_over = True
        return super().gather_object(obj, dst)

    def get_model_info(self) -> dict[str, Any]:
        """HFLM's, and under ``l2`` what was recorded; lm-eval puts it into the result file."""
        self._is_over = True
        self._evaluation.say_what_it_came_to()
        # of the model, since model_args may have changed what its config.json says
        layers = {"decoder_layers": number_of_layers(self._causal_lm.config)}
        info = self._evaluation.info() | layers
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
    own = affecting(spelled_out(kwargs), "responses", "choice", "records", "setup")
    return {"pretrained": name, **{k: str(v) for k, v in own.items()}}
