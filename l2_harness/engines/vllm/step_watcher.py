"""What a worker does beside running the model: rows are recorded, states changed.

    watcher = StepWatcher(runner, layers, plan, norms)
    watcher.begin(WorkerRun(…))                 # what is wanted of the responses from now on
    watcher.schedule(scheduler_output)          # before each step: who is new, who is over
    hidden = watcher.forward(run_model, …)      # around the forward pass
    output = watcher.sample(sample, logits, …)  # around the choice of tokens
    watcher.take({key: n_tokens})               # now and then: what is there

State is kept by request and let go of when it ends. A request that is preempted comes again from
its first position: its rows are recorded once, its interventions are replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from l2_harness.config.interventions import read_interventions
from l2_harness.config.selectors import STALT
from l2_harness.engines.state_moves import StateMoves
from l2_harness.engines.state_sums import StateSums
from l2_harness.engines.vllm.layer_stops import visiting
from l2_harness.engines.vllm.orders import Order
from l2_harness.engines.vllm.output_head import OutputHead
from l2_harness.engines.vllm.rerun_trial import RerunTrial
from l2_harness.engines.vllm.residual_stream import put_stream, stream
from l2_harness.engines.vllm.row_log import RowLog
from l2_harness.engines.vllm.second_pass import SecondPass
from l2_harness.engines.vllm.slots import Slots
from l2_harness.engines.vllm.step_rows import NEVER, Rows, Step
from l2_harness.engines.vllm.wire import Arrays
from l2_harness.interventions import InterventionRun, LateReport, Pipeline
from l2_harness.selection.chain_of_embedding import chain_of_embedding

#: Rows of scored texts whose distributions are held at once.
_BLOCK = 256


@dataclass(frozen=True)
class WorkerRun:
    """What is wanted of the responses of a run.

    Attributes:
        layers: the monitored layers, of which norms and scores are recorded.
        records: whether rows are recorded.
        keeps_states: whether Chain-of-Embedding is asked for.
        n_layers: of the model.
        model_args: of which the interventions are read.
        values: layer → threshold, where it is known from the start.
    """

    layers: Sequence[int]
    records: bool
    keeps_states: bool
    n_layers: int
    model_args: Mapping[str, Any]
    values: Mapping[str, float]


@dataclass(eq=False)
class _Watched:
    """A request under way; ``next`` is the position of the first row that isn't recorded yet.

    One that is over may have rows still, in a step that was planned before.
    """

    order: Order
    next: int
    slot: int | None = None
    is_over: bool = False


class StepWatcher:
    """The watch over one model in one worker.

    Args:
        runner: vLLM's model runner (V1).
        layers: the model's decoder layers.
        norms: (layers, tokens) float32, where each pass leaves its norms.
        doses: (tokens,) float32, where each pass of a looped model leaves its doses.
    """

    def __init__(
        self,
        runner: Any,
        layers: Sequence[nn.Module],
        norms: Tensor,
        doses: Tensor | None = None,
    ) -> None:
        self._runner, self._layers, self._norms = runner, list(layers), norms
        self._doses = doses
        self._most = runner.scheduler_config.max_num_seqs
        self._run: WorkerRun | None = None
        self._forget()

    def _forget(self) -> None:
        self._log = RowLog()
        self._watched: dict[str, _Watched] = {}
        self._by_key: dict[int, _Watched] = {}
        self._reports: dict[int, LateReport] = {}
        self._sums, self._moves = StateSums(), StateMoves()
        self._states: dict[int, Tensor] = {}
        self._dose = 0, torch.zeros((), dtype=torch.float64)
        self._step: Step | None = None
        self._rows: Rows | None = None
        self._pipeline: Pipeline | None = None
        self._slots: Slots | None = None
        self._trial: RerunTrial | None = None

    # -- what the driving process asks for ------------------------------------------------

    def begin(self, run: WorkerRun) -> None:
        """A run begins: whatever was there is over."""
        self._forget()
        self._run = run
        config = read_interventions(run.model_args)
        self._top = config.top_layers(run.n_layers)
        self._head = None if self._top is None else OutputHead(self._runner.model, self._layers)
        reruns = config.rerun_layers(run.layers, run.n_layers)
        self._second = SecondPass(self._runner, {i: self._layers[i] for i in reruns})
        self._stops = {*run.layers, *(self._top or [])[-1:]}
        self._config = config if config.enabled else None
        if self._config is not None:
            values = {int(layer): value for layer, value in run.values.items()}
            interventions = InterventionRun(config, run.layers, values)
            self._pipeline = interventions.pipeline(n_slots=self._most)
        self._slots = Slots(self._most)

    def try_out(self, reruns: Sequence[int]) -> list[str]:
        """After a trial request: which layers cannot be run again, and why."""
        trial, self._trial = self._trial, None
        return [] if trial is None else trial.faults(reruns)

    def take(self, lengths: Mapping[int, int]) -> tuple[dict[str, Any], Arrays]:
        """What is there of all responses, and the rest of those that are complete.

        Args:
            lengths: key → tokens, of complete responses.

        Returns:
            Key → ``report`` and ``scores`` of the complete ones; rows of all.
        """
        header: dict[str, Any] = {}
        sums, moves = self._sums.take(lengths), self._moves.take(lengths)
        for key, n_tokens in lengths.items():
            if key in self._by_key:
                self._end(self._by_key.pop(key))
            late = self._reports.pop(key, None)
            scores = {}
            if key in sums:
                scores = {**chain_of_embedding(sums[key]), STALT: moves.get(key, math.nan)}
            header[str(key)] = {
                "report": None if late is None else late().cut(n_tokens).as_plain(),
                "scores": scores,
            }
        return header, self._log.take()

    def loop_dose(self) -> tuple[int, float]:
        """How many rows a looped model decoded in this run, and the sum of their doses."""
        rows, total = self._dose
        return rows, float(total)

    def drop(self) -> None:
        """Nothing that is under way is wanted any more."""
        if self._run is not None:
            self.begin(self._run)

    # -- what the worker calls ------------------------------------------------------------

    def schedule(self, scheduler_output: Any) -> None:
        """Take note of who is over and who is new, before the runner does."""
        for request in scheduler_output.finished_req_ids:
            watched = self._watched.pop(request, None)
            if watched is not None and self._by_key.pop(watched.order.key, None) is not None:
                self._end(watched)
        for new in scheduler_output.scheduled_new_reqs:
            params = new.sampling_params
            order = None if params is None else Order.read(params.extra_args)
            if order is not None and new.req_id not in self._watched:
                self._start(new.req_id, order)

    def forward(self, run_model: Callable[..., Any], **inputs: Any) -> Any:
        """A forward pass, with what is done during it."""
        step = self._step = Step.of(self._runner)
        own = [self._watched.get(request) for request in step.ids]
        self._begin_pass(step, own)
        with visiting(self):
            hidden = run_model(**inputs)
        if self._pipeline is not None:
            self._pipeline.end_pass()
        if self._rows is not None:
            self._add_states(step, self._rows)
        self._rows = None
        self._count_doses(step, own)
        if self._run is not None and self._run.records:
            self._record_given(step, own, hidden)
        return hidden

    def sample(self, choose: Callable[..., Any], logits: Tensor | None, *args: Any) -> Any:
        """The choice of the next tokens, and the rows that they are made of."""
        step, self._step = self._step, None
        if step is None or logits is None:
            return choose(logits, *args)
        if self._trial is not None:
            self._trial.compare_logits(logits)
        rows = self._new_rows(step)
        if rows is None:
            return choose(logits, *args)
        place = slice(None) if len(rows) == len(step.ids) else rows.requests_there
        own = logits[place].clone()  # the sampler works in place
        output = choose(logits, *args)
        tokens = output.sampled_token_ids[place, 0].to(torch.int64)
        self._log_rows(rows, self._keys(step, rows), own, tokens)
        return output

    # -- stops ----------------------------------------------------------------------------

    def visit(self, layer: int, hidden: Tensor, residual: Tensor | None) -> None:
        """A layer has run."""
        if self._trial is not None:
            self._trial.visit(layer, hidden, residual)
        rows, run = self._rows, self._run
        # other stops are there for the trial alone, or for another run of the same engine
        if rows is None or run is None or not len(rows) or layer not in self._stops:
            return
        own = None if residual is None else residual[rows.where]
        before = stream(hidden[rows.where], own)
        if layer in run.layers and run.keeps_states:
            self._states[layer] = before[self._counted]
        if self._pipeline is not None:
            after = self._edited(self._pipeline, layer, rows, before)
            if after is not before:
                put_stream(hidden, residual, rows.where, before, after)

    def _edited(self, pipeline: Pipeline, layer: int, rows: Rows, states: Tensor) -> Tensor:
        assert self._run is not None
        if layer in self._run.layers:
            states = pipeline.layer(
                layer, states, lambda again, which: self._second.run(layer, again, rows, which)
            )
        if self._head is not None and layer == self._run.n_layers - 1:
            head = self._head
            states = pipeline.top(
                layer,
                states,
                lambda again, which: self._top_again(again, rows, which),
                lambda again, which: head.log_probs(again),
            )
        return states

    def _top_again(self, states: Tensor, rows: Rows, which: Tensor) -> Tensor:
        for layer in self._top or ():
            states = self._second.run(layer, states, rows, which)
        return states

    # -- requests -------------------------------------------------------------------------

    def _start(self, request: str, order: Order) -> None:
        watched = self._watched[request] = self._by_key[order.key] = _Watched(order, order.first)
        if order.trial:
            self._trial = RerunTrial(self._runner, self._second, self._head, self._top)
        elif self._slots is not None:
            watched.slot = self._slots.occupy()
            if self._pipeline is not None and order.acting is not None:
                self._pipeline.start(watched.slot, order.acting)

    def _end(self, watched: _Watched) -> None:
        """Read out what is known of a request that is over, and free its slot."""
        slot, watched.slot, watched.is_over = watched.slot, None, True
        if slot is None or self._slots is None:
            return
        if self._pipeline is not None and watched.order.acting is not None:
            self._reports[watched.order.key] = self._pipeline.finish(slot)
        self._slots.free(slot)

    def _keys(self, step: Step, rows: Rows) -> list[int]:
        return [self._watched[step.ids[i]].order.key for i in rows.requests.tolist()]

    # -- a pass ---------------------------------------------------------------------------

    def _begin_pass(self, step: Step, own: Sequence[_Watched | None]) -> None:
        """Which rows the interventions, and sums of states, are to see."""
        if self._pipeline is None and (self._run is None or not self._run.keeps_states):
            return
        floors = np.array([NEVER if w is None or w.slot is None else self._floor(w) for w in own])
        ceilings = np.array([0 if w is None else w.order.end for w in own])
        rows = self._rows = step.between(floors, ceilings)
        if not len(rows):
            return
        if self._run is not None and self._run.keeps_states:
            next_ones = np.array([NEVER if w is None else w.next for w in own])
            self._new = rows.positions >= next_ones[rows.requests]
            self._counted = torch.from_numpy(np.flatnonzero(self._new)).to(step.device)
        if self._pipeline is not None:
            slots = np.array([-1 if w is None or w.slot is None else w.slot for w in own])
            self._pipeline.begin_pass(slots[rows.requests], rows.positions)

    def _count_doses(self, step: Step, own: Sequence[_Watched | None]) -> None:
        """Of a looped model's rows, those that were decoded: a prompt's are left out."""
        if self._doses is None:
            return
        floors = [
            NEVER
            if w is None or w.order.tokens is not None or w.is_over
            else max(w.order.first + 1, w.next)
            for w in own
        ]
        rows = step.between(np.array(floors), np.full(len(own), NEVER))
        count, total = self._dose
        total = total.to(self._doses.device) + self._doses[rows.where].double().sum()
        self._dose = count + len(rows), total

    def _floor(self, watched: _Watched) -> int:
        acting = watched.order.acting
        from_start = self._config is not None and self._config.threshold.threshold_prompt
        if acting is not None and (from_start or acting.scored):
            return 0
        return watched.order.first

    def _add_states(self, step: Step, rows: Rows) -> None:
        """The states of the pass join those of their responses; not in a replay."""
        states, self._states = self._states, {}
        if self._run is None or not states:
            return
        new = np.flatnonzero(self._new)
        keys = [self._watched[step.ids[i]].order.key for i in rows.requests[new].tolist()]
        if keys:
            of_layers = torch.stack([states[layer] for layer in self._run.layers])
            self._sums.add(keys, of_layers)
            self._moves.add(keys, of_layers)

    def _new_rows(self, step: Step) -> Rows | None:
        """The rows of which tokens are made now, without those that were recorded before."""
        if self._run is None or not (
            self._run.records or self._run.keeps_states or self._doses is not None
        ):
            return None
        last, new = step.last, np.zeros(len(step.ids), dtype=bool)
        for i, (request, position) in enumerate(
            zip(step.ids, last.positions.tolist(), strict=True)
        ):
            watched = self._watched.get(request)
            if watched is None or watched.order.tokens is not None or watched.is_over:
                continue
            if position == watched.next:
                new[i] = True
                watched.next += 1
        if not new.any() or not self._run.records:
            return None
        return last.take(new)

    def _record_given(self, step: Step, own: Sequence[_Watched | None], hidden: Tensor) -> None:
        """The rows of texts that are scored, whose tokens are known."""
        if not any(w is not None and w.order.tokens is not None for w in own):
            return
        scored = [w if w is not None and w.order.tokens is not None else None for w in own]
        floors = np.array([NEVER if w is None else w.next for w in scored])
        ceilings = np.array([0 if w is None else w.order.end for w in scored])
        rows = step.between(floors, ceilings)
        if not len(rows):
            return
        tokens = torch.tensor(
            [_predicted(scored[i], p) for i, p in zip(rows.requests, rows.positions, strict=True)],
            device=hidden.device,
        )
        place = np.arange(len(rows)) // _BLOCK
        for block, own_tokens in enumerate(tokens.split(_BLOCK)):
            part = rows.take(place == block)
            logits = self._runner.model.compute_logits(hidden[part.where])
            self._log_rows(part, self._keys(step, part), logits, own_tokens)
        for i, position in zip(rows.requests, rows.positions, strict=True):
            watched = scored[i]
            assert watched is not None
            watched.next = int(position) + 1

    def _log_rows(self, rows: Rows, keys: Sequence[int], logits: Tensor, tokens: Tensor) -> None:
        norms = self._norms[:, rows.where].clone()
        self._log.add(keys, rows.positions, norms, logits, tokens)


def _predicted(watched: _Watched | None, position: int) -> int:
    """The token that the row at a position predicts."""
    assert watched is not None
    assert watched.order.tokens is not None
    return watched.order.tokens[position - watched.order.first]
