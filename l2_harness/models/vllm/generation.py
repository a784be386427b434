"""How ``l2vllm`` generates: requests of the desk, run by vLLM."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.utils import maybe_truncate
from transformers import GenerationConfig

from l2_harness.config import ConfigError
from l2_harness.config.decoding import SAMPLING
from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.response_end import ResponseEnd, response_end
from l2_harness.engines.vllm.engine import Answer, Ask
from l2_harness.engines.vllm.orders import Order
from l2_harness.interventions import stream_key
from l2_harness.models.generation_settings import GenerationSettings, generation_settings
from l2_harness.models.response_desk import ResponseDesk, where
from l2_harness.models.response_jobs import PromptJob, WantedResponse
from l2_harness.models.vllm.base import VllmBase
from l2_harness.norms import hash_prompt

#: What ``generate`` takes and ``SamplingParams`` doesn't know; their meaning is in others.
_NOT_VLLMS = frozenset({"do_sample"})


@dataclass(frozen=True, eq=False)
class ResponseEnds:
    """Where responses end; it may be asked in another process.

    Attributes:
        eos_ids: ids that end a response.
        stops: the stop strings that vLLM was given.
        tokenizer: gives the text of some ids.
    """

    eos_ids: Collection[int]
    stops: Sequence[str]
    tokenizer: Any

    def of(self, output: Any) -> ResponseEnd:
        """Of vLLM's output: it may have run a step more than it took to complete a stop string."""
        (completion,) = output.outputs
        tokens = list(completion.token_ids)
        if completion.finish_reason == "length":  # it met no stop string before
            return ResponseEnd(len(tokens), "length")
        if tokens[-1] in self.eos_ids:
            return ResponseEnd(len(tokens), "eos")
        end = response_end(tokens, self.eos_ids, self.stops, self._text)
        if end.reason == "length" and completion.finish_reason == "stop":
            return ResponseEnd(len(tokens), "stop")
        return end

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False)
        return text


class GenerationLM(VllmBase):
    """generate_until requests."""

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """A response a request, chosen of its samples; every one is recorded on the way.

        Raises:
            ConfigError: a request that cannot be answered; nothing has run by then.
        """
        evaluation = self._begin_requests(requests)
        desk = ResponseDesk(requests, evaluation, self._texts(), self._desk_rules())
        with self._progress("generate_until", desk.recall(), disable_tqdm) as progress:
            asks = [
                ask
                for settings, jobs in desk.open_jobs(progress)
                for job in jobs
                for ask in self._asks(settings, job)
            ]
            # edits that are handed from row to row cannot be replayed
            preempts = self._acting.suppression.suppression != "shuffled"
            for answers in self._engine.run(asks, preempts):
                for answer in answers:
                    desk.take(answer.ask.about, self._finished(answer))
                desk.flush()
        return desk.answers()

    def _settings_of(self, request: Instance) -> GenerationSettings:
        settings = generation_settings(
            request.args[1],
            self._decoding,
            self._generation_config,
            eos=self._eos_text,
            default_max_gen_toks=self.max_gen_toks,
            where=where(request),
        )
        self._check_chunks(settings)
        return settings

    def _check_chunks(self, settings: GenerationSettings) -> None:
        """On CPUs vLLM fails in a chunked prefill of a request with a seed."""
        from vllm.platforms import current_platform

        chunks = self._engine.facts.chunks_prompts
        if settings.do_sample and chunks and current_platform.is_cpu():
            raise ConfigError(
                "enable_chunked_prefill=True: on CPUs vLLM cannot sample with a seed in a chunked "
                "prefill. Leave it out.",
                "enable_chunked_prefill",
            )

    # -- requests -------------------------------------------------------------------------

    def _asks(self, settings: GenerationSettings, job: PromptJob) -> list[Ask]:
        prompt, max_tokens = maybe_truncate(
            self.tok_encode(job.prompt),
            max_gen_toks=min(settings.max_gen_toks, settings.max_new_tokens),
            max_model_len=self.max_length,
            side=self.truncation_side,
            verbose=True,
        )
        return [
            self._ask(settings, response, job.prompt, prompt, max_tokens) for response in job.wanted
        ]

    def _ask(
        self,
        settings: GenerationSettings,
        response: WantedResponse,
        text: str,
        prompt: Sequence[int],
        max_tokens: int,
    ) -> Ask:
        digest = hash_prompt(text)
        acting = None
        if self._acting.enabled:
            acting = self._acting_response(response, text, len(prompt))
        order = partial(Order, first=len(prompt) - 1, acting=acting)
        end = ResponseEnds(self._eos_ids, self._stops(settings), self.tokenizer)
        return Ask(
            about=response,
            prompt=prompt,
            params=self._sampling_params(settings, digest, response.stream, max_tokens),
            order=order,
            end=end.of,
            # what interventions leave of a response is of no use to a prompt that begins with it
            salt=digest if self._acting.enabled else None,
        )

    def _sampling_params(
        self, settings: GenerationSettings, digest: str, stream: int, max_tokens: int
    ) -> Any:
        from vllm import SamplingParams

        kwargs = {k: v for k, v in settings.kwargs.items() if k not in _NOT_VLLMS}
        if settings.do_sample:
            kwargs["seed"] = stream_key(self._seed, digest, stream) >> 1  # signed, in vLLM
            for name in SAMPLING:
                own = getattr(self._generation_config, name, None)
                if own is not None:
                    kwargs.setdefault(name, own)
        texts = {"skip_special_tokens": False, "spaces_between_special_tokens": False}
        reads_prompt = self._acting.enabled and self._acting.threshold.threshold_prompt
        try:
            return SamplingParams(
                **{**texts, **kwargs},
                stop=self._stops(settings),
                max_tokens=max_tokens,
                skip_reading_prefix_cache=True if reads_prompt else None,
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"vLLM doesn't take these generation settings ({error}): leave out what it has "
                "not, or use --model l2hf."
            ) from error

    def _stops(self, settings: GenerationSettings) -> list[str]:
        """As lm-eval's ``vllm``: a stop string inside the thinking ends nothing."""
        if not self.think_end_token:
            return settings.until
        return [stop for stop in settings.until if stop == self._eos_text]

    # -- responses ------------------------------------------------------------------------

    def _finished(self, answer: Answer) -> FinishedResponse:
        tokens = list(answer.output.outputs[0].token_ids)[: answer.end.n_tokens]
        rows, reason = answer.rows, answer.end.reason
        broken = None if rows is None else rows.first_broken
        if rows is not None and broken is not None:  # vLLM itself goes on, with any token
            tokens, rows, reason = tokens[: broken + 1], rows.cut(broken + 1), "length"
        return FinishedResponse(
            len(answer.ask.prompt),
            tokens,
            reason,
            rows,
            answer.report,
            broken=broken is not None,
        )

    @cached_property
    def _eos_text(self) -> str | None:
        if self.eot_token_id is None:
            return None
        return self._raw_text([self.eot_token_id]) or self.tokenizer.eos_token

    @cached_property
    def _eos_ids(self) -> Collection[int]:
        own = self._generation_config.eos_token_id
        ids = own if isinstance(own, list) else [own]
        return {i for i in (*ids, self.eot_token_id) if i is not None}

    @cached_property
    def _generation_config(self) -> GenerationConfig:
        """The model's own, as vLLM found it."""
        return GenerationConfig(**self._engine.facts.generation_config)
