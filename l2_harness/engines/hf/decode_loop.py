"""Decoding that knows which row is which response: the ``custom_generate`` of transformers.

Knows ids, rows and responses; knows no task, no text but what a stop string needs, no files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from l2_harness.engines.hf.batch_state import BatchState, PassInputs
from l2_harness.engines.hf.cache_argument import GENERATE_CACHE
from l2_harness.engines.hf.cache_rows import can_join
from l2_harness.engines.hf.growing_cache import make_growing
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.prefill import PassOutput, Prefill, PromptGroup, ResponseSpec
from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.engines.hf.row_processors import RowProcessors
from l2_harness.engines.hf.under_way import Deliver, ResponsesUnderWay
from l2_harness.engines.response_end import EndRule

#: What it costs to begin further responses, in forward passes over all rows: with a prefill, and
#: from one that is there. Free rows wait until they have idled away as much.
_PREFILL_COST = 1.0
_JOIN_COST = 0.25


class DecodeLoop:
    """Decodes responses to prompts: ``generate(custom_generate=loop)``.

    A prompt is prefilled once, and its cache is repeated for its responses. A row whose response
    has ended is dropped at once, and rows that have become free are filled: with further responses
    to the same prompts, then with those to the next group. At most ``max_rows`` rows run side by
    side; beside them the prefill of a prompt waits that has more responses than rows were free.

    Args:
        wanted: the responses to the prompts that ``generate`` is called on; those of one prompt
            side by side.
        end_rule: says where a response ends.
        deliver: takes responses that are complete, each with its number: its place among all
            wanted ones, those of later groups included.
        norms: the monitored layers, None to record nothing.
        max_rows: the most responses that are decoded side by side; by default all of ``wanted``.
        hooks: the interventions, None for none.
        more: gives the next prompts, with about as many responses as it is asked for; None
            where there are no more.
    """

    def __init__(
        self,
        wanted: Sequence[ResponseSpec],
        end_rule: EndRule,
        deliver: Deliver,
        norms: ResidualNorms | None = None,
        max_rows: int | None = None,
        hooks: LayerHooks | None = None,
        more: Callable[[int], PromptGroup | None] = lambda rows: None,
    ) -> None:
        self._wanted = list(wanted)
        self._norms = norms
        self._hooks = hooks
        self._max_rows = max_rows or len(wanted)
        self._more = more
        self._is_last = False
        self._under_way = ResponsesUnderWay(end_rule, deliver, self._max_rows, hooks)
        self._prefill: Prefill | None = None
        self._running: tuple[BatchState, PassInputs] | None = None
        self._idle = 0

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
        with ExitStack() as stack:
            if self._norms is not None:
                stack.enter_context(self._norms.last_position())
            if self._hooks is not None:
                stack.enter_context(self._hooks.installed(self._max_rows))
            stack.callback(self._under_way.deliver)  # after an error, too, what is complete
            first = range(len(self._wanted))
            self._take_prompts(
                first, model, input_ids, logits_processor, generation_config, **model_kwargs
            )
            while self._fill():
                with model._optimize_model_for_decode():
                    self._decode(model)

    # -- prompts --------------------------------------------------------------------------

    def _take_prompts(
        self,
        responses: range,
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        generation_config: GenerationConfig,
        **model_kwargs: Any,
    ) -> None:
        """Prefill the prompts of some responses, which then wait."""
        model_kwargs.pop("stopping_criteria", None)  # they judge a batch, not a response
        mask = _mask(input_ids, model_kwargs)
        with ExitStack() as stack:
            if self._hooks is not None:
                stack.enter_context(self._hooks.prefilling())
            outputs = model._prefill(input_ids, generation_config, model_kwargs)
        model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
        make_growing(model_kwargs[GENERATE_CACHE])
        inputs = PassInputs(model_kwargs, input_ids)
        output = self._output(outputs)
        self._prefill = Prefill(input_ids, mask, logits_processor, inputs, output, responses)

    def _fill(self) -> bool:
        """Let responses begin in the rows that are free; whether any row is to be decoded."""
        while self._can_fill:
            if self._prefill is None:
                self._next_group()
            if self._prefill is not None:
                self._begin(self._prefill)
        self._idle = 0
        return self._running is not None

    @property
    def _free(self) -> int:
        return self._max_rows - len(self._under_way)

    @property
    def _can_fill(self) -> bool:
        if not self._free or (self._is_last and self._prefill is None):
            return False
        return self._running is None or can_join(self._running[1].cache)

    def _next_group(self) -> None:
        group = self._more(self._free)
        if group is None:
            self._is_last = True
            return
        responses = range(len(self._wanted), len(self._wanted) + len(group.wanted))
        self._wanted += group.wanted
        group.generate(lambda *args, **kwargs: self._take_prompts(responses, *args, **kwargs))

    def _begin(self, prefill: Prefill) -> None:
        """Begin as many of the responses that wait as there are rows free."""
        responses = prefill.waiting[: self._free]
        prefill.waiting = prefill.waiting[self._free :]
        if not prefill.waiting:
            self._prefill = None
        prompts = torch.tensor([self._wanted[i].prompt for i in responses])
        self._start(responses, prompts.tolist(), prefill)
        device = prefill.ids.device
        state = BatchState(
            responses,
            prefill.ids[prompts.to(device)],
            RowProcessors.of_prefill(prefill.processors, prompts, prefill.ids.shape[1]),
            self._uniforms(responses, device),
        )
        output = prefill.output.of(prompts)
        going_on = self._under_way.add(responses, output, state.choose(output.logits))
        if going_on:
            order = state.keep(going_on).order
            self._join(state, prompts[order], prefill)

    def _start(self, responses: Sequence[int], prompts: list[int], prefill: Prefill) -> None:
        lengths = prefill.lengths()
        slots = [
            self._under_way.begin(response, lengths[prompt])
            for response, prompt in zip(responses, prompts, strict=True)
        ]
        if self._hooks is not None:
            acting = [self._wanted[i].response for i in responses]
            self._hooks.begin(slots, [one for one in acting if one], prompts, prefill.mask)

    def _uniforms(self, responses: Sequence[int], device: torch.device) -> Tensor | None:
        rows = [self._wanted[i].uniforms for i in responses]
        drawn_rows = [row for row in rows if row is not None]
        return torch.from_numpy(np.stack(drawn_rows)).to(device) if drawn_rows else None

    def _join(self, new: BatchState, prompts: Tensor, prefill: Prefill) -> None:
        """Put new rows beside those that run; prompts: (rows,) int64, of the prefill."""
        if self._running is not None:
            state, inputs = self._running
            state.join(new)
            inputs.join(prefill.inputs, prompts)
            return
        inputs = prefill.inputs.copied() if prefill.waiting else prefill.inputs
        if prompts.tolist() != list(range(len(prefill.ids))):
            inputs.select(prompts)
        self._running = new, inputs

    # -- tokens ---------------------------------------------------------------------------

    def _decode(self, model: Any) -> None:
        """Run the rows until it is worth while to fill those that have become free."""
        while self._running is not None and not self._is_worth_filling():
            state, inputs = self._running
            self._under_way.announce(state.responses)
            outputs = model(**inputs.next(model, state.ids), return_dict=True)
            inputs.after(model, outputs)
            output = self._output(outputs)
            del outputs
            going_on = self._under_way.add(state.responses, output, state.choose(output.logits))
            if not going_on:
                self._running = None
            elif len(going_on) < len(state.responses):
                inputs.keep(state.keep(going_on))
                self._drop_left(state, inputs)

    def _is_worth_filling(self) -> bool:
        """Whether the rows that are free have waited for as long as filling them takes."""
        if not self._can_fill:
            return False
        cost = _PREFILL_COST if self._prefill is None else _JOIN_COST
        is_worth = self._idle >= cost * self._max_rows
        self._idle += self._free
        return is_worth

    def _drop_left(self, state: BatchState, inputs: PassInputs) -> None:
        """Forget the columns that the longest row left behind."""
        longest = max(self._under_way.length(response) for response in state.responses)
        count = inputs.columns - max(longest, state.columns_read)
        if count > 0:
            state.drop_left(count)
            inputs.drop_left(count)

    def _output(self, outputs: Any) -> PassOutput:
        logits = _wide(outputs.logits[:, -1])
        if self._norms is None:
            return PassOutput(logits, None)
        return PassOutput(logits, self._norms.take(), self._norms.states)


def _mask(input_ids: Tensor, model_kwargs: dict[str, Any]) -> Tensor:
    """``generate`` drops a mask that masks nothing."""
    mask = model_kwargs.get("attention_mask")
    return torch.ones_like(input_ids) if mask is None else mask


def _wide(logits: Tensor) -> Tensor:
    """In float32 or wider, as transformers warps and samples; a copy, which lets go of the rest."""
    dtype = logits.dtype if logits.dtype == torch.float64 else torch.float32
    return logits.to(dtype, copy=True)
