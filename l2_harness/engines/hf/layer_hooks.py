"""Interventions on a transformers model: forward hooks that hand layers' outputs to a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from l2_harness.engines.hf.cache_argument import cache_argument
from l2_harness.engines.hf.growing_cache import make_growing
from l2_harness.engines.hf.layer_rerun import LayerCall, first_output, with_first_output
from l2_harness.engines.hf.output_head import OutputHead
from l2_harness.interventions import (
    InterventionRun,
    LateReport,
    Pipeline,
    Response,
    ResponseReport,
)


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Positions of a batch of texts, padded on the right.

    Attributes:
        responses: one a row of the batch.
        rows, positions: (n,) int64, where each one is.
    """

    responses: Sequence[Response]
    rows: np.ndarray
    positions: np.ndarray


class LayerHooks:
    """What happens at the hooked layers: nothing, keeping their states, or interventions.

    In :meth:`prefilling` states are kept, of which :meth:`begin` takes those of responses that
    begin. The pass after :meth:`step` has the rows that it names. A pass at any other time is no
    affair of the hooks.

    Args:
        run: the interventions.
        layers: every decoder layer of the model.
        causal_lm: the module whose output has the logits.
    """

    def __init__(self, run: InterventionRun, layers: Sequence[nn.Module], causal_lm: Any) -> None:
        self._run = run
        self._causal_lm = causal_lm
        self._layers = list(layers)
        self._last = len(self._layers) - 1
        self._top = run.config.top_layers(len(layers))
        self._head = OutputHead(causal_lm, self._layers) if self._top is not None else None
        self._calls: dict[int, LayerCall] = {}
        self._kept: dict[int, Tensor] = {}
        self._pipeline: Pipeline | None = None
        self._is_prefill = False
        self._where: tuple[Tensor, Tensor] | None = None

    @property
    def rerun_layers(self) -> list[int]:
        """The layers that are to be run again."""
        return self._run.config.rerun_layers(self._run.layers, len(self._layers))

    @property
    def values(self) -> dict[int, float]:
        """Layer → its threshold, where it is known from the start."""
        return self._run.values

    @contextmanager
    def installed(self, n_slots: int = 0) -> Iterator[None]:
        """Hook the layers. Norms that are recorded must be hooked before: they are the
        layers' own.

        Args:
            n_slots: responses that are generated at a time; none for :meth:`scoring`.
        """
        hooked = sorted({*self._run.layers, *(self._top or ())})
        with ExitStack() as stack:
            for layer in hooked:
                handle = self._layers[layer].register_forward_hook(
                    self._hook(layer), with_kwargs=True
                )
                stack.callback(handle.remove)
            stack.callback(self._clear)
            self._pipeline = self._run.pipeline(n_slots=n_slots) if n_slots else None
            yield

    def _clear(self) -> None:
        self._is_prefill = False
        self._pipeline = self._where = None
        self._kept, self._calls = {}, {}

    @contextmanager
    def prefilling(self) -> Iterator[None]:
        """The next passes are over prompts."""
        assert self._pipeline is not None
        self._pipeline.end_pass()
        self._kept = {}
        self._is_prefill = True
        try:
            yield
        finally:
            self._is_prefill = False

    def begin(
        self,
        slots: Sequence[int],
        responses: Sequence[Response],
        prompts: Sequence[int],
        mask: Tensor,
    ) -> None:
        """Responses begin after the latest prefill.

        Args:
            slots: where each one goes.
            responses: what the interventions know of them.
            prompts: the row of the prefill that each one answers.
            mask: (prompts, positions) of the prefill, 0 on padding.
        """
        assert self._pipeline is not None
        for slot, response in zip(slots, responses, strict=True):
            self._pipeline.start(slot, response)
        of_slot, positions, rows, columns = _prompt_rows(
            slots, responses, prompts, mask, self._run.config.threshold.threshold_prompt
        )
        self._pipeline.begin_pass(of_slot, positions)
        for layer in self._run.layers:
            kept = self._kept[layer]
            where = torch.from_numpy(rows).to(kept.device)
            columns_there = torch.from_numpy(columns).to(kept.device)
            self._pipeline.layer(layer, kept[where, columns_there], _no_second_pass)
        self._pipeline.end_pass()

    def step(self, slots: Sequence[int], positions: Sequence[int]) -> None:
        """The next forward pass has one row of each of some responses.

        Args:
            slots: whose row each one is.
            positions: absolute, from 0 at each prompt's first token.
        """
        assert self._pipeline is not None
        self._pipeline.begin_pass(np.array(slots), np.array(positions))

    def finish(self, slot: int) -> LateReport:
        """What happened to the response in a slot, which is over, to be asked for later."""
        assert self._pipeline is not None
        return self._pipeline.finish(slot)

    @contextmanager
    def scoring(self, scored: ScoredRows) -> Iterator[None]:
        """The next forward pass is over whole texts; those positions of it are its rows."""
        self._pipeline = self._run.pipeline(scored.responses)
        self._pipeline.begin_pass(scored.rows, scored.positions)
        self._where = torch.from_numpy(scored.rows), torch.from_numpy(scored.positions)
        if not self.rerun_layers:
            yield
            return
        handle = self._causal_lm.register_forward_pre_hook(self._own_cache, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _own_cache(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        """A second pass reads a cache, which scoring does without otherwise."""
        cache = DynamicCache(config=self._causal_lm.config.get_text_config(decoder=True))
        make_growing(cache)
        name = cache_argument(self._causal_lm.forward)
        return args, {**kwargs, name: cache, "use_cache": True}

    def end(self) -> list[ResponseReport]:
        """What happened to each response that was scored."""
        assert self._pipeline is not None
        reports = self._pipeline.reports()
        self._pipeline = None
        self._where = None
        return reports

    # -- hooks ----------------------------------------------------------------------------

    def _hook(self, layer: int) -> Any:
        reruns = layer in self.rerun_layers

        def on_output(
            module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any
        ) -> Any:
            hidden = first_output(output)
            if self._is_prefill:
                self._keep(layer, hidden)
            if self._pipeline is None or not self._pipeline.in_pass:
                return None
            if reruns:
                self._calls[layer] = LayerCall.of(module, args, kwargs)
            rows = self._rows(hidden)
            edited = self._edited(self._pipeline, layer, rows)
            if edited is rows:
                return None
            return with_first_output(output, self._put_back(hidden, edited))

        return on_output

    def _keep(self, layer: int, hidden: Tensor) -> None:
        if layer in self._run.layers:
            everything = self._run.config.threshold.threshold_prompt
            self._kept[layer] = hidden if everything else hidden[:, -1:].clone()

    def _edited(self, pipeline: Pipeline, layer: int, rows: Tensor) -> Tensor:
        edited = rows
        if layer in self._run.layers:
            edited = pipeline.layer(layer, edited, lambda s, which: self._again(layer, s, which))
        if layer == self._last and self._head is not None:
            head = self._head
            edited = pipeline.top(
                layer, edited, self._top_again, lambda states, which: head.log_probs(states)
            )
        return edited

    def _again(self, layer: int, states: Tensor, which: Tensor) -> Tensor:
        rows, columns = which, torch.zeros_like(which)
        if self._where is not None:
            rows, columns = (index.to(which.device)[which] for index in self._where)
        return self._calls[layer].again(states, rows, columns)

    def _top_again(self, states: Tensor, which: Tensor) -> Tensor:
        assert self._top is not None
        for layer in self._top:
            states = self._again(layer, states, which)
        return states

    def _rows(self, hidden: Tensor) -> Tensor:
        """(n, d), the rows of the pass."""
        if self._where is None:
            return hidden.select(1, -1)
        rows, columns = (index.to(hidden.device) for index in self._where)
        return hidden[rows, columns]

    def _put_back(self, hidden: Tensor, edited: Tensor) -> Tensor:
        if self._where is None:
            return edited.unsqueeze(1)
        rows, columns = (index.to(hidden.device) for index in self._where)
        return hidden.index_put((rows, columns), edited)


def _no_second_pass(states: Tensor, which: Tensor) -> Tensor:
    raise RuntimeError("a prompt's rows are never edited")


def _prompt_rows(
    slots: Sequence[int],
    responses: Sequence[Response],
    prompts: Sequence[int],
    mask: Tensor,
    everything: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Slots, positions, and rows and columns of the kept states, of the rows that count."""
    width = mask.shape[1]
    found = []
    for slot, response, prompt in zip(slots, responses, prompts, strict=True):
        n = response.prompt_tokens
        for position in range(0 if everything else n - 1, n):
            column = width - n + position if everything else 0
            found.append((slot, position, prompt, column))
    of_slot, positions, rows, places = np.array(found, dtype=np.int64).T
    return of_slot.copy(), positions.copy(), rows.copy(), places.copy()
