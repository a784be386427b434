"""How ``l2hf`` generates: by our decode loop, or by stock ``generate`` where that cannot run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from torch import Tensor

from l2_harness.config import ConfigError
from l2_harness.config.decoding import check_room
from l2_harness.engines.hf.decode_loop import DecodedResponse, DecodeLoop, ResponseSpec
from l2_harness.engines.hf.generation_recorder import GenerationRecorder
from l2_harness.engines.hf.loop_support import LOST, loop_obstacle
from l2_harness.engines.response_end import EndRule, thinking_end
from l2_harness.interventions import Response, stream_key
from l2_harness.interventions.reports import told
from l2_harness.models.choice import SampleChooser
from l2_harness.models.hf.base import HFBase
from l2_harness.models.hf.batches import GenerationBatch
from l2_harness.models.hf.generation_settings import GenerationSettings, generation_settings
from l2_harness.models.requests import repeat_numbers, request_keys
from l2_harness.models.response_jobs import PromptJob, WantedResponse, run_in_batches
from l2_harness.models.response_text import lm_eval_response
from l2_harness.models.sample_groups import Sample, SampleGroups
from l2_harness.norms import CompletedResponse, hash_prompt
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.trace_hash import canonical_json
from l2_harness.norms.trace_samples import RecordedSample, SampleKey
from l2_harness.random_streams import uniform_draws

logger = logging.getLogger(__name__)

#: Qwen3's and DeepSeek-R1's, looked for where the user names no think_end_token.
_THINK_END = "</think>"

_UNRECORDED = (
    "these responses are not recorded: they are not decoded by one forward pass a token, with one "
    "row a response"
)


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of generate_until: ``answers`` holds request → what lm-eval gets."""

    requests: Sequence[Instance]
    groups: SampleGroups
    answers: dict[int, str]
    progress: Callable[[int], Any]


class GenerationLM(HFBase):
    """generate_until requests."""

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self._watched: GenerationBatch | None = None
        self._said: set[str] = set()
        self._chooser = SampleChooser(
            self._selection,
            self._decoding.num_samples,
            self._seed,
            cuts_thinking=self.think_end_token is not None,
        )

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """A response a request, chosen of its samples; every one is recorded on the way.

        Raises:
            ConfigError: a request that cannot be answered; nothing has run by then.
            MissingScoreError: the selection needs what cannot be recorded of this model.
            MemoryError: a single response does not fit into memory.
        """
        if self.backend != "causal":
            self._say_stock("an encoder-decoder model")
            return super().generate_until(requests, disable_tqdm=disable_tqdm)
        wanted = self._wanted(requests)
        sample_groups = SampleGroups(
            wanted, requests, self._decoding.num_samples, self._selection.enabled
        )
        call = _Call(requests, sample_groups, {}, _no_progress)
        todo = self._recalled(call, wanted)
        groups = self._groups(requests, todo)
        with self._progress("generate_until", len(todo), disable_tqdm) as progress:
            call = replace(call, progress=progress)
            groups = self._borrow(call, groups)
            max_rows = self._max_rows() if groups else 0
            for settings, jobs in groups:
                run = partial(self._runner(settings), call, settings)
                max_rows = run_in_batches(jobs, max_rows, run)
        return [call.answers[position] for position in range(len(requests))]

    # -- what is to be done ---------------------------------------------------------------

    def _wanted(self, requests: Sequence[Instance]) -> list[WantedResponse]:
        """Every sample of every request; lm-eval lists a request once a repeat."""
        n = self._decoding.num_samples
        keys = request_keys("generate_until", requests)
        repeats = repeat_numbers(requests)
        return [
            WantedResponse(i, sample, repeats[i] * n + sample, key and key.with_sample(sample))
            for i, key in enumerate(keys)
            for sample in range(n)
        ]

    def _recalled(self, call: _Call, wanted: Sequence[WantedResponse]) -> list[WantedResponse]:
        """Those that no earlier run left; the others join their groups."""
        if self._recorder is None:
            return list(wanted)
        found = self._recorder.recall([response.key for response in wanted])
        earlier = {
            response: completed
            for response, completed in zip(wanted, found, strict=True)
            if completed is not None and completed.response is not None
        }
        samples = self._with_rows(call, [_recalled(r, c) for r, c in earlier.items()])
        for sample in samples:
            assert sample.wanted.key is not None
            self._recorder.take_over(sample.wanted.key, earlier[sample.wanted])
            self._join(call, sample)
        self._recorder.flush()
        there = {sample.wanted for sample in samples}
        return [response for response in wanted if response not in there]

    def _with_rows(self, call: _Call, samples: Sequence[Sample]) -> list[Sample]:
        """Recalled samples whose groups can be settled: with their rows where these are needed.

        Rows are read only for groups that an interruption left without their choice. Where an
        earlier run recorded no rows, such a group is sampled again.
        """
        assert self._recorder is not None
        usable: list[list[Sample]] = []
        open_: list[list[Sample]] = []
        for group, complete in call.groups.by_group(samples):
            settled = complete and self._chooser.is_settled(group)
            (usable if settled else open_).append(group)
        keys = [sample.wanted.key for group in open_ for sample in group if sample.wanted.key]
        rows = self._recorder.recorded_rows(keys)
        for group in open_:
            for sample in group:
                sample.rows = rows.get(sample.wanted.key.resume) if sample.wanted.key else None
                if self._selection.enabled:
                    sample.chosen = None
            if all(sample.rows is not None for sample in group):
                usable.append(group)
        return [sample for group in usable for sample in group]

    def _groups(
        self, requests: Sequence[Instance], todo: Sequence[WantedResponse]
    ) -> list[tuple[GenerationSettings, list[PromptJob]]]:
        """Jobs by generation settings, in HFLM's order: the longest prompts first."""
        settings: dict[str, GenerationSettings] = {}
        jobs: dict[str, dict[str, PromptJob]] = {}
        for response in todo:
            request = requests[response.request]
            prompt, gen_kwargs = request.args
            group = canonical_json(gen_kwargs)
            if group not in settings:
                settings[group] = self._settings(request)
                jobs[group] = {}
            if prompt not in jobs[group]:
                n_tokens = self._checked_length(request, settings[group])
                jobs[group][prompt] = PromptJob(prompt, n_tokens, [])
            jobs[group][prompt].wanted.append(response)
        return [
            (settings[group], sorted(jobs[group].values(), key=lambda j: (-j.n_tokens, j.prompt)))
            for group in jobs
        ]

    def _borrow(
        self, call: _Call, groups: Sequence[tuple[GenerationSettings, list[PromptJob]]]
    ) -> list[tuple[GenerationSettings, list[PromptJob]]]:
        """Take what another run sampled; the jobs that are left."""
        if self._source is None:
            return list(groups)
        # a document that a task has twice asks twice for the same sample
        open_: dict[SampleKey, list[tuple[GenerationSettings, PromptJob, WantedResponse]]] = {}
        for settings, jobs in groups:
            for job in jobs:
                for response in job.wanted:
                    if response.key is not None:
                        key = SampleKey(response.key.resume.request_hash, response.stream)
                        open_.setdefault(key, []).append((settings, job, response))
        for found in self._source.take(open_.keys()):
            for key, sample in found:
                for settings, job, response in open_[key]:
                    self._take_sample(call, settings, response, sample)
                    job.wanted.remove(response)
            self._flush(call, sum(len(open_[key]) for key, _ in found))
        left = [(settings, [job for job in jobs if job.wanted]) for settings, jobs in groups]
        return [(settings, jobs) for settings, jobs in left if jobs]

    def _take_sample(
        self,
        call: _Call,
        settings: GenerationSettings,
        response: WantedResponse,
        sample: RecordedSample,
    ) -> None:
        """A sample that another run decoded, as if it had been decoded now."""
        tokens = sample.tokens.tolist()
        answer = lm_eval_response(tokens, settings.until, self.think_end_token, self.tok_decode)
        columns = {
            "prompt_tokens": sample.prompt_tokens,
            "tokens": tokens,
            "finish_reason": sample.finish_reason,
        }
        self._answer(call, response, answer, sample.rows, columns)

    def _settings(self, request: Instance) -> GenerationSettings:
        return generation_settings(
            request.args[1],
            self._decoding,
            self._causal_lm.generation_config,
            eos=self._raw_text([self.eot_token_id]),
            default_max_gen_toks=self.max_gen_toks,
            where=_where(request),
        )

    def _checked_length(self, request: Instance, settings: GenerationSettings) -> int:
        n_tokens = len(self.tok_encode(request.args[0]))
        if n_tokens == 0:
            raise ConfigError(
                f"The prompt of {_where(request)} has no tokens, and a model cannot start from "
                "nothing. Check doc_to_text, or pass --apply_chat_template or add_bos_token=True."
            )
        check_room(settings.max_gen_toks, self.max_length, _where(request))
        return n_tokens

    def _max_rows(self) -> int:
        return self._detect_batch_size() if self.batch_size == "auto" else int(self.batch_size)

    def _runner(self, settings: GenerationSettings) -> Callable[..., None]:
        """The way to run a batch of these settings."""
        if self._decoding.decoding == "stock":
            return self._run_stock
        obstacle = loop_obstacle(self.model, self._causal_lm, settings.kwargs)
        if obstacle is None:
            return self._run_loop
        if self._hooks is not None:
            raise ConfigError(
                f"{obstacle}: the decode loop cannot run this, and recursion, steering and "
                "suppression work in it alone. Leave that setting out, or turn them off."
            )
        self._say_stock(obstacle)
        return self._run_stock

    def _say_stock(self, obstacle: str) -> None:
        if obstacle not in self._said:
            self._said.add(obstacle)
            logger.warning("%s: stock generate decodes these responses, so %s", obstacle, LOST)

    # -- our loop -------------------------------------------------------------------------

    def _run_loop(
        self, call: _Call, settings: GenerationSettings, batch: list[PromptJob], max_rows: int
    ) -> None:
        """Decode a batch, and take in its responses as they are complete."""
        ids, mask = self.tok_batch_encode(
            [job.prompt for job in batch],
            left_truncate_len=self.max_length - settings.max_gen_toks,
            truncation=self.truncation,
        )
        wanted = [(row, response) for row, job in enumerate(batch) for response in job.wanted]
        prompt_tokens = mask.sum(-1).tolist()

        def deliver(decoded: list[DecodedResponse]) -> None:
            for found in decoded:
                row, response = wanted[found.index]
                self._take(call, settings, response, found, prompt_tokens[row])
                batch[row].wanted.remove(response)
            self._flush(call, len(decoded))

        loop = DecodeLoop(
            [
                self._spec(row, response, batch[row].prompt, prompt_tokens[row], settings)
                for row, response in wanted
            ],
            self._end_rule(settings),
            deliver,
            self._norms if self._recorder is not None else None,
            max_rows,
            self._hooks,
        )
        self._model_generate(
            ids.to(self.device),
            ids.shape[1] + settings.max_gen_toks,
            stop=[],
            attention_mask=mask.to(self.device),
            custom_generate=loop,
            **settings.kwargs,
        )

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
        acting = Response(stream_key(*stream), prompt_tokens) if self._hooks is not None else None
        return ResponseSpec(row, uniforms, acting)

    def _end_rule(self, settings: GenerationSettings) -> EndRule:
        return EndRule(
            self._eos_ids(settings), settings.until, settings.max_new_tokens, self._raw_text
        )

    def _take(
        self,
        call: _Call,
        settings: GenerationSettings,
        response: WantedResponse,
        found: DecodedResponse,
        prompt_tokens: int,
    ) -> None:
        answer = lm_eval_response(
            found.tokens, settings.until, self.think_end_token, self.tok_decode
        )
        columns: dict[str, Any] = {
            "prompt_tokens": prompt_tokens,
            "tokens": found.tokens,
            "finish_reason": found.finish_reason,
        }
        if found.report is not None:
            columns["events"] = told(found.report, len(found.tokens))
            if response.key is not None:
                self._totals.add(found.report)
        self._answer(call, response, answer, found.rows, columns)

    # -- stock generate -------------------------------------------------------------------

    def _run_stock(
        self, call: _Call, settings: GenerationSettings, batch: list[PromptJob], max_rows: int
    ) -> None:
        """Let HFLM run a batch, a row a response, and take in what came out."""
        wanted = [(job, response) for job in batch for response in job.wanted][:max_rows]
        gen_kwargs = {
            **settings.kwargs,
            "until": list(settings.until),
            "max_gen_toks": settings.max_gen_toks,
        }
        requests = [
            Instance("generate_until", {}, (job.prompt, dict(gen_kwargs)), 0) for job, _ in wanted
        ]
        self._watched = GenerationBatch() if self._recorder is not None else None
        with self._one_batch(len(requests)), self._no_cache_hook():
            answers = super().generate_until(requests, disable_tqdm=True)
        watched, self._watched = self._watched, None
        rows = watched.responses(self._eos_ids(settings), self._raw_text) if watched else []
        recorded = [*rows, *[(None, {})] * (len(wanted) - len(rows))]
        for (job, response), answer, (found, columns) in zip(
            wanted, answers, recorded, strict=True
        ):
            self._answer(call, response, answer, found, columns)
            job.wanted.remove(response)
        self._flush(call, len(wanted))

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
        batch = self._watched
        if batch is None:
            return super()._model_generate(context, max_length, stop, **generation_kwargs)
        width = context.shape[1]
        recorder = GenerationRecorder(self._causal_lm, self._norms, width)
        prompt_tokens = generation_kwargs["attention_mask"].sum(-1).tolist()
        with recorder.recording():
            output = super()._model_generate(context, max_length, stop, **generation_kwargs)
        if not isinstance(output, Tensor):  # lm-eval says what it thinks of it
            return output
        if recorder.follows(output[:, width:]):
            batch.capture(recorder, output[:, width:], prompt_tokens, stop)
        else:
            self._say_unrecorded()
        return output

    def _say_unrecorded(self) -> None:
        if _UNRECORDED not in self._said:
            self._said.add(_UNRECORDED)
            logger.warning(_UNRECORDED)

    # -- both -----------------------------------------------------------------------------

    def _answer(
        self,
        call: _Call,
        response: WantedResponse,
        answer: str,
        rows: ResponseRows | None,
        columns: dict[str, Any],
    ) -> None:
        """Take in a response that has been decoded."""
        sample = Sample(response, answer, rows)
        tokens = columns.get("tokens")
        if tokens is not None:
            sample.columns = {**columns, "text": self.tok_decode(tokens), "response": answer}
            sample.n_tokens, sample.finish_reason = len(tokens), columns["finish_reason"]
            sample.thinking_end = thinking_end(tokens, self._thinking_end_token, self._raw_text)
        request = call.requests[response.request]
        self._chooser.receive(sample, request, call.groups.size(sample))
        self._join(call, sample)

    def _join(self, call: _Call, sample: Sample) -> None:
        """Put a sample into its group; settle the group, record it and answer if it is complete."""
        group = call.groups.add(sample)
        if group is None:
            return
        request = call.requests[sample.wanted.request]
        if not all(one.recalled for one in group) or not self._chooser.is_settled(group):
            self._chooser.settle(group, request)
            for one in group:
                self._record(one)
        for one in group:
            if one.chosen:
                self._reply(call, one)

    def _reply(self, call: _Call, sample: Sample) -> None:
        """What lm-eval gets for a request."""
        request = call.requests[sample.wanted.request]
        call.answers[sample.wanted.request] = self._chooser.text(sample, request)
        if not sample.recalled:
            self.cache_hook.add_partial("generate_until", request.args, sample.text)

    def _record(self, sample: Sample) -> None:
        """Hand a sample to the recorder; of one that is written, only what was not known then."""
        key = sample.wanted.key
        if self._recorder is None or key is None:
            return
        if sample.written:
            self._recorder.decide(key, sample.scores, bool(sample.chosen))
        elif sample.rows is not None:
            self._recorder.add(
                key,
                sample.rows,
                thinking_end=sample.thinking_end,
                scores=sample.scores,
                answer=sample.answer,
                chosen=bool(sample.chosen),
                **sample.columns,
            )

    def _flush(self, call: _Call, n_responses: int) -> None:
        """Put a round on disk: a kill after this loses nothing of it.

        Samples whose group goes on in a later round are written at once, and what is chosen
        follows. Where no rows are written, a rerun could not choose among them: they wait.
        """
        if self._recorder is not None:
            if self._recorder.keeps_rows:
                for sample in call.groups.unwritten():
                    self._record(sample)
                    sample.written = True
            self._recorder.flush()
        call.progress(n_responses)

    def _eos_ids(self, settings: GenerationSettings) -> set[int]:
        given = settings.kwargs.get("generation_config")
        own = getattr(given, "eos_token_id", None) or self._causal_lm.generation_config.eos_token_id
        own = settings.kwargs.get("eos_token_id", own)
        ids = own if isinstance(own, list) else [own]
        return {i for i in [*ids, self.eot_token_id] if i is not None}

    @property
    def _thinking_end_token(self) -> int | str | None:
        if self.think_end_token is not None:
            return self.think_end_token
        return self.tokenizer.get_vocab().get(_THINK_END)


def _recalled(wanted: WantedResponse, found: CompletedResponse) -> Sample:
    """A response that an earlier run left."""
    return Sample(
        wanted,
        found.response or "",
        n_tokens=len(found.tokens),
        finish_reason=found.finish_reason,
        thinking_end=found.thinking_end,
        scores=found.scores,
        answer=found.answer,
        chosen=found.chosen,
        written=True,
        recalled=True,
    )


def _no_progress(n_responses: int) -> None:
    """Nothing is shown while earlier responses are taken over."""


def _where(request: Instance) -> str:
    return f"task {request.task_name}, document {request.doc_id}"
