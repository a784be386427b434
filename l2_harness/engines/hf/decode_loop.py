"""Decoding that knows which row is which response: the ``custom_generate`` of transformers.

Knows ids, rows and responses; knows no task, no text but what a stop string needs, no files.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.batch_state import BatchState, repeat_rows, select_processors
from l2_harness.engines.hf.cache_argument import GENERATE_CACHE
from l2_harness.engines.hf.growing_cache import make_growing
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.hf.token_choice import drawn, likeliest
from l2_harness.engines.response_end import EndRule, FinishReason
from l2_harness.engines.response_log import ResponseLog
from l2_harness.interventions import Response, ResponseReport
from l2_harness.norms.rows import ResponseRows


@dataclass(frozen=True, eq=False)
class ResponseSpec:
    """A response that is wanted.

    Attributes:
        prompt: which row of the prompts it answers.
        uniforms: (max_tokens,) float64, its own random numbers; None for greedy decoding.
        response: what the interventions know of it; None where there are none.
    """

    prompt: int
    uniforms: np.ndarray | None = None
    response: Response | None = None


class _Pass(NamedTuple):
    """What a forward pass gave: logits (rows, vocabulary), norms (layers, rows) or None.

    ``states`` (layers, rows, d) is there where Chain-of-Embedding needs it.
    """

    logits: Tensor
    norms: Tensor | None
    states: Tensor | None = None

    def of(self, rows: Sequence[int]) -> _Pass:
        """The same pass for other rows, of which several may be one."""
        index = torch.tensor(rows)
        logits = self.logits[index.to(self.logits.device)]
        if self.norms is None:
            return _Pass(logits, None)
        index = index.to(self.norms.device)
        states = None if self.states is None else self.states[:, index]
        return _Pass(logits, self.norms[:, index], states)


class DecodeLoop:
    """Decodes the responses to one batch of prompts: ``generate(custom_generate=loop)``.

    A prompt is prefilled once, and its cache is repeated for its responses. A row whose
    response has ended is dropped at once. Responses are handed on as they are complete, a
    round at a time: at most ``max_rows`` rows run side by side, and further samples of the same
    prompts start from the cache of the same prefill.

    Args:
        wanted: the responses; those of one prompt side by side.
        end_rule: says where a response ends.
        deliver: takes the responses of a round, each with its place among the wanted ones.
        norms: the monitored layers, None to record nothing.
        max_rows: the most responses that are decoded side by side.
        hooks: the interventions, None for none.
    """

    def __init__(
        self,
        wanted: Sequence[ResponseSpec],
        end_rule: EndRule,
        deliver: Callable[[list[tuple[int, FinishedResponse]]], None],
        norms: ResidualNorms | None = None,
        max_rows: int | None = None,
        hooks: LayerHooks | None = None,
    ) -> None:
        self.wanted = wanted
        self._end_rule = end_rule
        self.deliver = deliver
        self._norms = norms
        self._max_rows = max_rows or len(wanted)
        self._hooks = hooks
        self._prompt_tokens: list[int] = []

    @torch.inference_mode()  # cheaper a kernel than generate's own no_grad
    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        generation_config: GenerationConfig,
        **model_kwargs: Any,
    ) -> None:
        """Decode all of it; ``generate`` calls this with what it has prepared.

        Args:
            model: the causal language model.
            input_ids: (prompts, positions), padded on the left.
            logits_processor: the warpers and whatever else changes the logits.
            generation_config: ``generate``'s own.
            **model_kwargs: attention mask, cache and the like.
        """
        model_kwargs.pop("stopping_criteria", None)  # they judge a batch, not a response
        with ExitStack() as stack:
            if self._norms is not None:
                stack.enter_context(self._norms.last_position())
            if self._hooks is not None:
                stack.enter_context(self._hooks.installed())
            mask = _mask(input_ids, model_kwargs)
            self._prompt_tokens = mask.sum(-1).tolist()
            outputs = model._prefill(input_ids, generation_config, model_kwargs)
            model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
            first = self._taken(outputs)
            del outputs
            make_growing(model_kwargs[GENERATE_CACHE])
            stack.enter_context(model._optimize_model_for_decode())
            for round_, kwargs in self._rounds(model_kwargs):
                state = self._start(round_, input_ids, kwargs, logits_processor)
                if self._hooks is not None:
                    self._hooks.begin(self._responses(round_), state.prompts, mask)
                self._decode(model, state, first)

    def _rounds(self, model_kwargs: dict[str, Any]) -> Iterator[tuple[range, dict[str, Any]]]:
        """The wanted responses of each round, and the prefill that it may use up."""
        n = len(self.wanted)
        for start in range(0, n, self._max_rows):
            stop = min(start + self._max_rows, n)
            kwargs = dict(model_kwargs)
            if stop < n:
                kwargs[GENERATE_CACHE] = copy.deepcopy(model_kwargs[GENERATE_CACHE])
            yield range(start, stop), kwargs

    def _start(
        self,
        round_: range,
        input_ids: Tensor,
        model_kwargs: dict[str, Any],
        logits_processor: LogitsProcessorList,
    ) -> BatchState:
        """The rows of a round, each with its prompt's cache."""
        prompts = [self.wanted[i].prompt for i in round_]
        index = torch.tensor(prompts)
        if prompts != list(range(len(input_ids))):
            repeat_rows(model_kwargs, index)
            logits_processor = select_processors(logits_processor, index)
        return BatchState(
            round_,
            prompts,
            input_ids[index.to(input_ids.device)],
            self._end_rule.max_tokens,
            self._uniforms(round_, input_ids.device),
            model_kwargs,
            logits_processor,
        )

    def _uniforms(self, round_: range, device: torch.device) -> Tensor | None:
        rows = [self.wanted[i].uniforms for i in round_]
        drawn_rows = [row for row in rows if row is not None]
        return torch.from_numpy(np.stack(drawn_rows)).to(device) if drawn_rows else None

    def _responses(self, round_: range) -> list[Response]:
        found = [self.wanted[i].response for i in round_]
        return [response for response in found if response is not None]

    def _decode(self, model: Any, state: BatchState, first: _Pass) -> None:
        """Run a round to its end."""
        log = ResponseLog()
        tokens: dict[int, list[int]] = {response: [] for response in state.responses}
        reasons: dict[int, FinishReason] = {}
        step = first.of(state.prompts)
        while True:
            chosen = _choose(step.logits, state)
            on_host = chosen.tolist()
            _check_tokens(on_host, step.logits.shape[-1])
            if step.norms is not None:
                log.add(state.responses, step.norms, step.logits, chosen, step.states)
            state.append(chosen)
            going_on = []
            for row, (response, token) in enumerate(zip(state.responses, on_host, strict=True)):
                tokens[response].append(token)
                reason = self._end_rule.reason(tokens[response])
                if reason is None:
                    going_on.append(row)
                else:
                    reasons[response] = reason
            if not going_on:
                break
            if len(going_on) < len(state.responses):
                state.keep(going_on)
            self._announce(state, tokens)
            step = self._step(model, state)
        rows = log.take()
        reports = self._hooks.end() if self._hooks is not None else [None] * len(reasons)
        self.deliver(
            [
                (i, self._finished(i, tokens[i], reasons[i], rows.get(i), report))
                for i, report in zip(sorted(reasons), reports, strict=True)
            ]
        )

    def _announce(self, state: BatchState, tokens: dict[int, list[int]]) -> None:
        """Tell the interventions which rows the next pass has."""
        if self._hooks is None:
            return
        first = min(tokens)
        positions = [
            self._prompt_tokens[prompt] - 1 + len(tokens[i])
            for i, prompt in zip(state.responses, state.prompts, strict=True)
        ]
        self._hooks.step([i - first for i in state.responses], positions)

    def _finished(
        self,
        index: int,
        tokens: list[int],
        reason: FinishReason,
        rows: ResponseRows | None,
        report: ResponseReport | None,
    ) -> FinishedResponse:
        prompt_tokens = self._prompt_tokens[self.wanted[index].prompt]
        return FinishedResponse(prompt_tokens, tokens, reason, rows, report)

    def _step(self, model: Any, state: BatchState) -> _Pass:
        """One forward pass over the newest token of every row."""
        inputs = model.prepare_inputs_for_generation(
            state.ids, next_sequence_length=1, **state.model_kwargs
        )
        outputs = model(**inputs, return_dict=True)
        state.model_kwargs = model._update_model_kwargs_for_generation(outputs, state.model_kwargs)
        return self._taken(outputs)

    def _taken(self, outputs: Any) -> _Pass:
        logits = _wide(outputs.logits[:, -1])
        if self._norms is None:
            return _Pass(logits, None)
        return _Pass(logits, self._norms.take(), self._norms.states)


def _mask(input_ids: Tensor, model_kwargs: dict[str, Any]) -> Tensor:
    """``generate`` drops a mask that masks nothing."""
    mask = model_kwargs.get("attention_mask")
    return torch.ones_like(input_ids) if mask is None else mask


def _wide(logits: Tensor) -> Tensor:
    """In float32 or wider, as transformers warps and samples; a copy, which lets go of the rest."""
    dtype = logits.dtype if logits.dtype == torch.float64 else torch.float32
    return logits.to(dtype, copy=True)


def _check_tokens(tokens: Sequence[int], vocabulary: int) -> None:
    if max(tokens) >= vocabulary:  # what drawing from no distribution gives
        raise FloatingPointError(
            "The model's logits are not finite, so no token can be drawn from them. float16 may "
            "have overflowed: pass dtype=bfloat16 or dtype=float32."
        )


def _choose(logits: Tensor, state: BatchState) -> Tensor:
    ids: Any = state.ids  # typed as LongTensor there, which no operation gives
    scores = state.logits_processor(ids, logits)
    uniforms = state.uniforms
    return likeliest(scores) if uniforms is None else drawn(scores, uniforms)
