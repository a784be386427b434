"""What our model classes share, whichever engine they run: arguments, evaluations, the desk."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM, CacheHook
from lm_eval.utils import simple_parse_args_string
from tqdm import tqdm

from l2_harness import __version__
from l2_harness.config import ConfigError
from l2_harness.config.interventions import spelled_out
from l2_harness.config.model_args import ModelConfig, affecting
from l2_harness.engines.decoder_layers import number_of_layers
from l2_harness.engines.model_files import model_files
from l2_harness.interventions import Response, stream_key
from l2_harness.models.evaluation import Evaluation, RunPlan
from l2_harness.models.generation_settings import GenerationSettings
from l2_harness.models.matched_edits import MatchedEdits
from l2_harness.models.recorder import RunRecorder, run_id
from l2_harness.models.requests import padded_requests
from l2_harness.models.response_cache import keep_apart, refuse
from l2_harness.models.response_desk import DeskRules
from l2_harness.models.response_jobs import WantedResponse
from l2_harness.models.response_text import ResponseTexts
from l2_harness.models.terminal_log import terminal_log
from l2_harness.norms import hash_prompt
from l2_harness.selection.chain_of_embedding import MIN_LAYERS

logger = logging.getLogger(__name__)

#: Qwen3's and DeepSeek-R1's, looked for where the user names no think_end_token.
_THINK_END = "</think>"


class EvaluatedLM(LM):
    """Stands before one of lm-eval's classes, which runs the model.

    That class has ``tokenizer`` and ``think_end_token``. A class of ours calls
    :meth:`_read_arguments` first and :meth:`_plan_evaluations` once the model is there.
    """

    _plan: RunPlan
    _evaluation: Evaluation
    _matched: MatchedEdits | None = None
    tokenizer: Any
    think_end_token: Any
    max_length: int
    tok_encode: Any
    _is_over = False
    _begun = False
    #: Of the call that ran last.
    _padded: Sequence[Instance] = ()

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: dict[str, Any] | None = None
    ) -> Any:
        """As :meth:`create_from_arg_obj`, of ``a=1,b=2``."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> Any:
        """A model of model_args and of what lm-eval has options for.

        Raises:
            ConfigError: an argument is in both.
        """
        options = {k: v for k, v in (additional_config or {}).items() if v is not None}
        if twice := sorted({*arg_dict} & {*options}):
            raise ConfigError(
                f"{twice[0]} is in model_args, and lm-eval passes its own: take it out, and use "
                f"the option --{twice[0]} (or the argument of simple_evaluate).",
                twice[0],
            )
        return cls(**arg_dict, **options)

    def _read_arguments(self, config: ModelConfig) -> None:
        self._recording, self._decoding = config.recording, config.decoding
        self._acting, self._selection = config.interventions, config.selection
        self._looping = config.looping
        self._config_read = config

    def _plan_evaluations(
        self,
        kwargs: Mapping[str, Any],
        *,
        pretrained: Any,
        source: Any,
        layers: Sequence[int],
        rank: int = 0,
        **settings: Any,
    ) -> None:
        """The settings that decide the responses, and the first evaluation.

        Args:
            kwargs: model_args.
            pretrained: as the user named it.
            source: what that stands for.
            layers: the monitored ones; none where nothing is recorded.
            rank: of this process.
            **settings: what else decides the responses.
        """
        found = _settings(pretrained, kwargs) | settings
        found |= {
            "model_files": model_files({**kwargs, "pretrained": source}),
            "monitored_layers": list(layers),
            "l2_harness": __version__,
        }
        if self._matched is not None:
            found["matched_run"] = self._matched.run_id
        cuts = self.think_end_token is not None
        self._plan = RunPlan(self._config_read, found, layers, rank, cuts)
        self._evaluation = Evaluation(
            self._plan, self._current_seed(), may_change=self._decoding.seed is None
        )

    def _monitored(self, n_layers: int) -> tuple[int, ...]:
        """The layers of a model that are monitored; says what is particular about them.

        Raises:
            ConfigError: too few for what is asked.
        """
        layers = self._recording.layers.resolve(n_layers)
        if n_layers == 1 and self._recording.layers.preset == "late":
            logger.warning(
                "layers=late leaves the last layer out, and this model has only one: it is recorded"
            )
        if self._selection.keeps_states and len(layers) < MIN_LAYERS:
            raise ConfigError(
                f"Chain-of-Embedding follows a response from layer to layer and needs "
                f"{MIN_LAYERS} of them; layers={self._recording.layers} is {list(layers)} in this "
                "model. Pass layers=all, or a longer list."
            )
        return tuple(layers)

    def _say_what_is_recorded(self, layers: Sequence[int]) -> None:
        terminal_log.info(
            "recording (%s) the norms of layers %s", self._recording.record, list(layers)
        )

    def _say_what_acts(self) -> None:
        for name, value in self._acting.as_dict().items():
            logger.info("intervention setting %s=%s", name, value)
        if self._acting.threshold.threshold_scope == "pooled":
            logger.warning(
                "threshold_scope=pooled (preset=%s): thresholds follow all responses so far, so "
                "that another batch size, another order or a resumed run gives other events",
                self._acting.preset,
            )

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

    def _begin_requests(self, requests: Sequence[Instance]) -> Evaluation:
        """The evaluation that requests belong to: a new one where the one before is over."""
        self._padded = padded_requests(requests)
        seed = self._current_seed()
        if self._is_over or (not self._begun and self._evaluation.needs_renewal(seed)):
            self._evaluation = Evaluation(self._plan, seed)
        self._begun, self._is_over = True, False
        # what lm-eval's store holds has numbers
        self._evaluation.tally.numbers |= bool(self.cache_hook.dbdict)
        return self._evaluation

    def _drop_padding(self) -> None:
        """A response that only evened out processes is none that metrics or votes should see."""
        for request in self._padded:
            del request.resps[request.repeats or 1 :]

    def _current_seed(self) -> int:
        """lm-eval seeds torch with its ``--seed`` when an evaluation starts."""
        return torch.initial_seed() if self._decoding.seed is None else self._decoding.seed

    @property
    def _seed(self) -> int:
        return self._evaluation.seed

    @property
    def _recorder(self) -> RunRecorder | None:
        return self._evaluation.recorder

    def gather_object(self, obj: Any, dst: int = 0) -> Any:
        """lm-eval's. It gathers samples and metrics, in every process, at an evaluation's end."""
        self._is_over = True
        return super().gather_object(obj, dst)

    def _info(self, config: Any) -> dict[str, Any]:
        """What was recorded and done, for the result file, which is written at the end."""
        self._is_over = True
        self._evaluation.say_what_it_came_to()
        return self._evaluation.info() | {"decoder_layers": number_of_layers(config)}

    # -- responses ------------------------------------------------------------------------

    def _texts(self) -> ResponseTexts:
        usual = self.tokenizer.get_vocab().get(_THINK_END)
        return ResponseTexts(self._plain_text, self._raw_text, self.think_end_token, usual)

    def _desk_rules(self) -> DeskRules:
        return DeskRules(
            num_samples=self._decoding.num_samples,
            choosing=self._selection.enabled,
            is_alone=self.world_size == 1,
            max_length=self.max_length,
            prompt_tokens=lambda prompt: len(self.tok_encode(prompt)),
            settings=self._settings_of,
            answered=self._store,
        )

    def _settings_of(self, request: Instance) -> GenerationSettings:
        """How the responses to a request are generated."""
        raise NotImplementedError

    def _store(self, request: Instance, text: str, for_once: bool) -> None:
        """What ``--use_cache`` gets."""
        if for_once:
            refuse(self.cache_hook, request)
        else:
            self.cache_hook.add_partial("generate_until", request.args, text)

    def _acting_response(
        self, response: WantedResponse, prompt: str, prompt_tokens: int
    ) -> Response:
        """What the interventions are told of a response that is to be generated."""
        recorded = None
        if self._matched is not None and response.key is not None:
            recorded = self._matched.of(response.key.resume.request_hash, response.stream)
        key = stream_key(self._seed, hash_prompt(prompt), response.stream)
        return Response(key, prompt_tokens, recorded=recorded)

    def _plain_text(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _raw_text(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=False)
        return text

    @contextmanager
    def _progress(self, what: str, total: int, disable: bool) -> Iterator[Callable[[int], Any]]:
        hidden = disable or self.rank != 0 or not total
        with tqdm(total=total, disable=hidden, desc=f"Running {what} requests") as bar:
            yield bar.update


def _settings(pretrained: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What determines the responses; a model object is no model that a rerun could name."""
    name = pretrained if isinstance(pretrained, str) else f"object {secrets.token_hex(8)}"
    own = affecting(spelled_out(kwargs), "responses", "choice", "records", "setup")
    return {"pretrained": name, **{k: str(v) for k, v in own.items()}}
