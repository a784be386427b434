"""How ``l2hf`` generates: by our decode loop, or by stock ``generate`` where that cannot run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from torch import Tensor
from transformers import LogitsProcessorList

from l2_harness.config import ConfigError
from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.decode_loop import DecodeLoop
from l2_harness.engines.hf.finite_rows import FiniteRows
from l2_harness.engines.hf.generation_recorder import GenerationRecorder
from l2_harness.engines.hf.loop_support import LOST, loop_obstacle
from l2_harness.engines.hf.prefill import PromptGroup, ResponseSpec
from l2_harness.engines.response_end import EndRule
from l2_harness.models.generation_settings import GenerationSettings, generation_settings
from l2_harness.models.hf.base import HFBase
from l2_harness.models.hf.batches import GenerationBatch
from l2_harness.models.response_desk import DeskRules, ResponseDesk, where
from l2_harness.models.response_jobs import PromptJob, PromptQueue, WantedResponse, run_jobs
from l2_harness.norms import hash_prompt
from l2_harness.random_numbers import uniform_draws

logger = logging.getLogger(__name__)

_UNRECORDED = (
    "these responses are not recorded: they are not decoded by one forward pass a token, with one "
    "row a response"
)


class GenerationLM(HFBase):
    """generate_until requests."""

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self._watched: GenerationBatch | None = None
        self._said: set[str] = set()

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """A response a request, chosen of its samples; every one is recorded on the way.

        Raises:
            ConfigError: a request that cannot be answered; nothing has run by then.
            MissingScoreError: the selection needs what cannot be recorded of this model.
            MemoryError: a single response does not fit into memory.
        """
        evaluation = self._begin_requests(requests)
        desk = ResponseDesk(requests, evaluation, self._texts(), self._desk_rules())
        with self._progress("generate_until", desk.recall(), disable_tqdm) as progress:
            open_jobs = desk.open_jobs(progress)
            max_rows = self._max_rows() if open_jobs else 0
            for settings, jobs in open_jobs:
                run = partial(self._runner(settings), desk, settings)
                max_rows = run_jobs(jobs, max_rows, run)
        return desk.answers()

    def _desk_rules(self) -> DeskRules:
        rules = super()._desk_rules()
        return rules if self.backend == "causal" else replace(rules, max_length=None)

    def _settings_of(self, request: Instance) -> GenerationSettings:
        return generation_settings(
            request.args[1],
            self._decoding,
            self._causal_lm.generation_config,
            eos=None if self.eot_token_id is None else self._raw_text([self.eot_token_id]),
            default_max_gen_toks=self.max_gen_toks,
            where=where(request),
        )

    def _max_rows(self) -> int:
        return self._detect_batch_size() if self.batch_size == "auto" else int(self.batch_size)

    def _runner(self, settings: GenerationSettings) -> Callable[..., None]:
        """The way to run a batch of these settings."""
        if self._decoding.decoding == "stock":
            self._check_stock("decoding=stock")
            return self._run_stock
        obstacle = loop_obstacle(self.model, self._causal_lm, settings.kwargs)
        if obstacle is None:
            return self._run_loop
        if self._hooks is not None:
            raise ConfigError(
                f"{obstacle}: the decode loop cannot run this, and recursion, steering and "
                "suppression work in it alone. Leave that setting out, or turn them off."
            )
        self._check_stock(obstacle)
        self._say_stock(obstacle)
        return self._run_stock

    def _check_stock(self, reason: str) -> None:
        if self.eot_token_id is None:
            raise ConfigError(
                f"{reason}: stock generate decodes this, and lm-eval's way of calling it needs an "
                "EOS token, which the tokenizer has not. Pass tokenizer= with one that has, or "
                "leave that setting out."
            )

    def _say_stock(self, obstacle: str) -> None:
        if obstacle not in self._said:
            self._said.add(obstacle)
            logger.warning("%s: stock generate decodes these responses, so %s", obstacle, LOST)

    # -- our loop -------------------------------------------------------------------------

    def _run_loop(
        self,
        desk: ResponseDesk,
        settings: GenerationSettings,
        queue: PromptQueue,
        max_rows: int,
    ) -> None:
        """Decode all that is wanted, and hand in responses as they are complete."""
        wanted: list[WantedResponse] = []

        def deliver(decoded: list[tuple[int, FinishedResponse]]) -> None:
            for index, finished in decoded:
                desk.take(wanted[index], finished)
            desk.flush()

        def next_group(rows: int) -> PromptGroup | None:
            batch = queue.take(rows)
            wanted.extend(response for job in batch for response in job.wanted)
            return self._group(batch, settings) if batch else None

        first = next_group(max_rows)
        assert first is not None, "a queue that is run holds jobs"
        loop = DecodeLoop(
            first.wanted,
            self._end_rule(settings),
            deliver,
            self._norms if self._recorder is not None else None,
            max_rows,
            self._hooks,
            next_group,
        )
        first.generate(loop)

    def _group(self, batch: list[PromptJob], settings: GenerationSettings) -> PromptGroup:
        """Jobs as the loop takes them."""
        ids, mask = self.tok_batch_encode(
            [job.prompt for job in batch],
            left_truncate_len=self.max_length - settings.max_gen_toks,
            truncation=self.truncation,
        )
        lengths = mask.sum(-1).tolist()
        specs = [
            self._spec(row, response, job.prompt, lengths[row], settings)
            for row, job in enumerate(batch)
            for response in job.wanted
        ]

        def generate(loop: Callable[..., None]) -> None:
            self._model_generate(
                ids.to(self.device),
                ids.shape[1] + settings.max_gen_toks,
                stop=[],
                attention_mask=mask.to(self.device),
                custom_generate=loop,
                **settings.kwargs,
            )

        return PromptGroup(specs, generate)

    def _spec(
        self,
        row: int,
        response: WantedResponse,
        prompt: str,
        prompt_tokens: int,
        settings: GenerationSettings,
    ) -> ResponseSpec:
        stream = (self._seed, hash_prompt(prompt), response.stream)
        uniforms = uniform_draws(*stream, settings.max_new_tokens) if settings.do_sample else None
        acting = None
        if self._hooks is not None:
            acting = self._acting_response(response, prompt, prompt_tokens)
        return ResponseSpec(row, uniforms, acting)

    def _end_rule(self, settings: GenerationSettings) -> EndRule:
        return EndRule(
            self._eos_ids(settings), settings.until, settings.max_new_tokens, self._raw_text
        )

    # -- stock generate -------------------------------------------------------------------

    def _run_stock(
        self,
        desk: ResponseDesk,
        settings: GenerationSettings,
        queue: PromptQueue,
        max_rows: int,
    ) -> None:
        """Let HFLM run a batch, a row a response, and hand in what came out."""
        batch = queue.take(max_rows)
        wanted = [(job.prompt, response) for job in batch for response in job.wanted][:max_rows]
        gen_kwargs = {
            **settings.kwargs,
            "until": list(settings.until),
            "max_gen_toks": settings.max_gen_toks,
        }
        requests = [
            Instance("generate_until", {}, (prompt, dict(gen_kwargs)), 0) for prompt, _ in wanted
        ]
        with self._watching() as watched, self._one_batch(len(requests)), self._no_cache_hook():
            texts = super().generate_until(requests, disable_tqdm=True)
        finished = watched.responses(texts, self._eos_ids(settings), self._raw_text)
        if self._recorder is not None and any(one.rows is None for one in finished):
            self._say_unrecorded()
        for (_, response), one in zip(wanted, finished, strict=True):
            desk.take(response, one)
        desk.flush()

    @contextmanager
    def _watching(self) -> Iterator[GenerationBatch]:
        """Catch what the next call of ``generate`` gives."""
        self._watched = GenerationBatch()
        try:
            yield self._watched
        finally:
            self._watched = None

    @contextmanager
    def _no_cache_hook(self) -> Iterator[None]:
        """HFLM would store a response under settings that no request has."""
        own = self.cache_hook  # type: ignore[has-type]
        self.cache_hook = CacheHook(None)
        try:
            yield
        finally:
            self.cache_hook = own

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], **generation_kwargs: Any
    ) -> Any:
        """Watch HFLM's call of ``generate``."""
        batch, width = self._watched, context.shape[1]
        if batch is None:
            return super()._model_generate(context, max_length, stop, **generation_kwargs)
        prompt_tokens = generation_kwargs["attention_mask"].sum(-1).tolist()
        finite = FiniteRows(len(context), self.eot_token_id)
        processors = [*(generation_kwargs.pop("logits_processor", None) or ()), finite]
        generation_kwargs["logits_processor"] = LogitsProcessorList(processors)
        recorder: GenerationRecorder | None = None
        watch: AbstractContextManager[None] = nullcontext()
        if self._recorder is not None:
            recorder = GenerationRecorder(self._causal_lm, self._norms, width)
            watch = recorder.recording()
        with watch:
            output = super()._model_generate(context, max_length, stop, **generation_kwargs)
        if isinstance(output, Tensor):  # lm-eval says what it thinks of something else
            # an encoder-decoder gives back the one id that it starts with
            start = width if self.backend == "causal" else 1
            batch.capture(output, start, prompt_tokens, stop, finite, recorder)
        return output

    def _say_unrecorded(self) -> None:
        if _UNRECORDED not in self._said:
            self._said.add(_UNRECORDED)
            logger.warning(_UNRECORDED)

    # -- both -----------------------------------------------------------------------------

    def _eos_ids(self, settings: GenerationSettings) -> set[int]:
        given = settings.kwargs.get("generation_config")
        own = getattr(given, "eos_token_id", None) or self._causal_lm.generation_config.eos_token_id
        own = settings.kwargs.get("eos_token_id", own)
        ids = own if isinstance(own, list) else [own]
        return {i for i in [*ids, self.eot_token_id] if i is not None}
