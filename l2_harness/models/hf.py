"""``l2hf``: lm-eval's Hugging Face model with the norms of its hidden states recorded."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import Collator, normalize_gen_kwargs
from torch import Tensor
from tqdm import tqdm

from l2_harness import __version__
from l2_harness.config import ConfigError
from l2_harness.config.model_args import split_model_args
from l2_harness.engines.hf.decoder_layers import causal_lm, find_decoder_layers, number_of_layers
from l2_harness.engines.hf.generation_recorder import GenerationRecorder
from l2_harness.engines.hf.loading import (
    config_field_names,
    model_fingerprint,
    resolve_pretrained,
)
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.hf.scoring_recorder import ScoringRecorder
from l2_harness.models.batches import GenerationBatch, ScoringBatch, ScoringRequest
from l2_harness.models.requests import RequestKey, request_keys
from l2_harness.models.run_recorder import RunRecorder
from l2_harness.norms.summary import NormSummary
from l2_harness.norms.trace_writer import usable_directory

logger = logging.getLogger(__name__)

#: Arguments that say how the work is done, not what comes out: a rerun may change them and
#: still take over what an earlier run left.
_EXECUTION_ONLY = frozenset({"batch_size", "max_batch_size", "device", "resume", "trace_dir"})

#: Qwen3's and DeepSeek-R1's, looked for where the user names no think_end_token.
_THINK_END = "</think>"

Answer = tuple[float, bool]


class L2HF(HFLM):
    """HFLM whose forward passes are watched; what lm-eval gets from it stays HFLM's own.

    Batches are formed here, in HFLM's order and sizes, and handed to HFLM one at a time, so
    that it is known which request a row answers.

    Args:
        pretrained: as for HFLM, or ``demo`` for the model that the package carries.
        **kwargs: arguments of :class:`~l2_harness.config.RecordingConfig`, and HFLM's.

    Raises:
        ConfigError: an argument that is unknown, ill-typed or out of range.
    """

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        source = resolve_pretrained(pretrained)
        self._recording, inherited = split_model_args(
            kwargs, HFLM.__init__, lambda: config_field_names(source, kwargs)
        )
        self._tensor_parallel = inherited.get("tp_plan") is not None
        super().__init__(source, **inherited)
        self._generation: GenerationBatch | None = None
        self._scoring: ScoringBatch | None = None
        self._scoring_keys: deque[RequestKey | None] = deque()
        self._merged_summary: NormSummary | None = None
        self._recorder: RunRecorder | None = None
        if self._recording.enabled:
            settings = _settings(pretrained, kwargs)
            settings["weights"] = model_fingerprint(source, self.config)
            self._recorder = self._start_recording(settings)

    # -- set-up ---------------------------------------------------------------------------

    def _create_model(self, *args: Any, **kwargs: Any) -> None:
        """Refuse what can be refused before the weights load."""
        n_layers = number_of_layers(self.config)
        if self._recording.enabled and n_layers is not None and not self._recording.layers_path:
            self._recording.layers.resolve(n_layers)
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
        self._causal_lm = causal_lm(self.model)
        self._norms = ResidualNorms([decoder_layers[i] for i in layers])
        settings |= {"monitored_layers": list(layers), "l2_harness": __version__}
        logger.info("recording (%s) the norms of layers %s", self._recording.record, list(layers))
        return RunRecorder(self._recording, layers, settings, self.rank)

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
        super().barrier()

    def get_model_info(self) -> dict[str, Any]:
        """HFLM's, and under ``l2`` what was recorded; lm-eval puts it into the result file."""
        info: dict[str, Any] = {"record": self._recording.record}
        if self._recorder is not None:
            summary = self._merged_summary or self._recorder.summary
            info |= {
                "run_id": self._recorder.run_id,
                "trace_dir": self._recording.trace_dir,
                **summary.as_dict(),
            }
        return {**super().get_model_info(), "l2": info}

    # -- generation -----------------------------------------------------------------------

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """HFLM's responses; each is recorded on the way."""
        if self._recorder is None:
            return super().generate_until(requests, disable_tqdm=disable_tqdm)
        keys = request_keys("generate_until", requests)
        earlier = self._recorder.recall(keys)
        results = [e.response if e is not None else None for e in earlier]
        todo = [i for i, result in enumerate(results) if result is None]
        with self._progress("generate_until", len(todo), disable_tqdm) as progress:
            for batch in self._generation_batches(requests, todo):
                responses = self._generate_batch([requests[i] for i in batch])
                self._record_responses([keys[i] for i in batch], responses)
                for i, response in zip(batch, responses, strict=True):
                    results[i] = response
                progress(len(batch))
        return [result for result in results if result is not None]

    def _generation_batches(
        self, requests: Sequence[Instance], todo: Sequence[int]
    ) -> Iterator[list[int]]:
        """Positions in ``requests`` of each batch that HFLM would form of ``todo``."""
        n_tokens = {i: self._checked_prompt_length(requests[i]) for i in todo}
        collator = Collator(
            [(*requests[i].args, i) for i in todo],
            sort_fn=lambda item: (-n_tokens[item[-1]], item[0]),
            group_by="gen_kwargs",
            group_fn=lambda item: item[1],
        )
        if not todo:
            return
        size = self._detect_batch_size() if self.batch_size == "auto" else self.batch_size
        for chunk in collator.get_batched(n=size):
            yield [item[-1] for item in chunk]

    def _checked_prompt_length(self, request: Instance) -> int:
        prompt, gen_kwargs = request.args
        where = f"task {request.task_name}, document {request.doc_id}"
        n_tokens = len(self.tok_encode(prompt))
        if n_tokens == 0:
            raise ConfigError(
                f"The prompt of {where} has no tokens, and a model cannot start from nothing. "
                "Check doc_to_text, or pass --apply_chat_template or add_bos_token=True."
            )
        limit = normalize_gen_kwargs(gen_kwargs, self.max_gen_toks)["max_gen_toks"]
        if limit < 1:
            raise ConfigError(
                f"max_gen_toks={limit} ({where}) leaves no room for a response. Pass 1 or more."
            )
        return n_tokens

    def _generate_batch(self, requests: list[Instance]) -> list[str]:
        self._generation = GenerationBatch()
        with self._one_batch(len(requests)):
            return super().generate_until(requests, disable_tqdm=True)

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], **generation_kwargs: Any
    ) -> Tensor:
        """Watch HFLM's call of ``generate``."""
        batch = self._generation
        if batch is None or not self._one_pass_a_token(generation_kwargs):
            return super()._model_generate(context, max_length, stop, **generation_kwargs)
        width = context.shape[1]
        recorder = GenerationRecorder(self._causal_lm, self._norms, width)
        prompt_tokens = generation_kwargs["attention_mask"].sum(-1).tolist()
        with recorder.recording():
            output = super()._model_generate(context, max_length, stop, **generation_kwargs)
        batch.capture(recorder, output[:, width:], prompt_tokens, stop)
        return output

    def _one_pass_a_token(self, generation_kwargs: dict[str, Any]) -> bool:
        """Whether each pass gives each row a token, as sampling and greedy decoding do."""
        own = self._causal_lm.generation_config
        for name in ("num_beams", "num_return_sequences"):
            if (generation_kwargs.get(name) or getattr(own, name, None) or 1) > 1:
                logger.warning("%s > 1: these responses are not recorded", name)
                return False
        assisted = {"assistant_model", "prompt_lookup_num_tokens"} & generation_kwargs.keys()
        if assisted:
            logger.warning("%s: these responses are not recorded", ", ".join(assisted))
        return not assisted

    def _record_responses(
        self, keys: Sequence[RequestKey | None], responses: Sequence[str]
    ) -> None:
        assert self._recorder is not None
        batch, self._generation = self._generation, None
        if batch is None:
            return
        found = batch.responses(self._eos_ids, self._thinking_end_token, self._raw_text)
        # nothing is found of a batch that was decoded in a way that is not recorded
        for key, response, (rows, columns) in zip(keys, responses, found, strict=False):
            if key is not None:
                text = self.tok_decode(columns["tokens"])
                self._recorder.add(key, rows, text=text, response=response, **columns)
        self._recorder.flush()

    def _raw_text(self, tokens: Sequence[int]) -> str:
        return self.tok_decode(tokens, skip_special_tokens=False)

    @property
    def _eos_ids(self) -> set[int]:
        generation_config: Any = self._causal_lm.generation_config
        own = generation_config.eos_token_id
        ids = own if isinstance(own, list) else [own]
        return {i for i in [*ids, self.eot_token_id] if i is not None}

    @property
    def _thinking_end_token(self) -> int | str | None:
        if self.think_end_token is not None:
            return self.think_end_token
        return self.tokenizer.get_vocab().get(_THINK_END)

    # -- scoring --------------------------------------------------------------------------

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Answer]:
        """HFLM's scores; the continuations' rows are recorded."""
        self._scoring_keys = deque(request_keys("loglikelihood", requests))
        return super().loglikelihood(requests, disable_tqdm=disable_tqdm)

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """HFLM's scores; every stretch of a long text is recorded under its own ``window``."""
        if self._recorder is not None:
            keys = request_keys("loglikelihood_rolling", requests)
            self._scoring_keys = deque(
                None if key is None else key.with_window(window)
                for key, request in zip(keys, requests, strict=True)
                for window in range(self._n_windows(request.args[0]))
            )
        return super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)

    def _n_windows(self, text: str) -> int:
        return -(-len(self.tok_encode(text)) // self.max_length)

    def _loglikelihood_tokens(
        self,
        requests: list[ScoringRequest],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[Answer]:
        """HFLM's scores of tokenised requests, in HFLM's batches."""
        if self._recorder is None:
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        keys = [self._next_scoring_key() for _ in requests]
        earlier = self._recorder.recall(keys)
        results: list[Answer | None] = [_answer(e.scores) if e else None for e in earlier]
        todo = [i for i, result in enumerate(results) if result is None]
        disable_tqdm = disable_tqdm or override_bs is not None
        with self._progress("loglikelihood", len(todo), disable_tqdm) as progress:
            for batch in self._scoring_batches(requests, todo, override_bs):
                answers = self._score_batch([requests[i] for i in batch])
                self._record_scores([keys[i] for i in batch], answers)
                for i, answer in zip(batch, answers, strict=True):
                    results[i] = answer
                progress(len(batch))
        return [result for result in results if result is not None]

    def _next_scoring_key(self) -> RequestKey | None:
        """In the order of the requests; lm-eval pads a process's windows at the end."""
        return self._scoring_keys.popleft() if self._scoring_keys else None

    def _scoring_batches(
        self, requests: Sequence[ScoringRequest], todo: Sequence[int], override_bs: int | None
    ) -> Iterator[list[int]]:
        """Positions in ``requests`` of each batch that HFLM would form of ``todo``.

        HFLM runs one request of those whose contexts and continuations differ in the last
        token only, and scores them all from it: they stay together here.
        """
        if not todo:
            return
        group = self._context_key if self.logits_cache else None
        members = defaultdict(list)
        for i in todo:
            members[group(requests[i]) if group else i].append(i)
        collator = Collator(
            [(i, *requests[i][1:]) for i in todo],
            sort_fn=lambda item: (-len(item[1] + item[2]), tuple(item[1] + item[2])),
            group_by="contexts" if group else None,
            group_fn=self._context_key,
        )
        for chunk in collator.get_batched(*self._scoring_batch_size(override_bs)):
            yield [i for item in chunk for i in members[group(item) if group else item[0]]]

    @staticmethod
    def _context_key(request: Any) -> tuple[int, ...]:
        return tuple(request[-2] + request[-1][:-1])

    def _scoring_batch_size(self, override_bs: int | None) -> tuple[int, Callable[..., int] | None]:
        if self.batch_size != "auto":
            return self.batch_size, None
        if override_bs is not None:
            return override_bs, None
        self.batch_sizes: dict[int, int] = {}
        return 0, self._batch_scheduler

    def _score_batch(self, requests: list[ScoringRequest]) -> list[Answer]:
        self._scoring = ScoringBatch(
            requests, self._context_key if self.logits_cache else None, self.max_length
        )
        with self._one_batch(len(requests)):
            return super()._loglikelihood_tokens(
                requests, disable_tqdm=True, override_bs=len(requests)
            )

    def _model_call(
        self, inps: Tensor, attn_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Watch HFLM's forward pass over a batch of contexts with their continuations."""
        batch = self._scoring
        if batch is None:
            return super()._model_call(inps, attn_mask, labels)
        recorder = ScoringRecorder(self._norms)
        with recorder.recording():
            logits = super()._model_call(inps, attn_mask, labels)
        n_virtual = logits.shape[1] - inps.shape[1]
        batch.rows = recorder.rows(logits, batch.continuations(n_virtual))
        return logits

    def _record_scores(self, keys: Sequence[RequestKey | None], answers: Sequence[Answer]) -> None:
        assert self._recorder is not None
        assert self._scoring is not None
        batch, self._scoring = self._scoring, None
        for i, (key, (score, is_greedy)) in enumerate(zip(keys, answers, strict=True)):
            if key is None:
                continue
            _, context, continuation = batch.requests[i]
            self._recorder.add(
                key,
                batch.rows[i],
                prompt_tokens=len(context),
                tokens=continuation,
                text=self._raw_text(continuation),
                scores={"loglikelihood": score, "is_greedy": float(is_greedy)},
            )
        self._recorder.flush()

    # -- both -----------------------------------------------------------------------------

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


def _answer(scores: dict[str, float]) -> Answer:
    return scores["loglikelihood"], bool(scores["is_greedy"])


def _settings(pretrained: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What determines the responses; a model object is no model that a rerun could name."""
    name = pretrained if isinstance(pretrained, str) else f"object {id(pretrained)} {torch.seed()}"
    return {
        "pretrained": name,
        **{k: str(v) for k, v in kwargs.items() if k not in _EXECUTION_ONLY},
    }
