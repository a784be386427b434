"""What an engine drives: a run, and the responses that it decodes together.

run = InterventionRun(config, layers)                      # once
pipeline = run.pipeline([Response(key, prompt_tokens), …])   # a batch of responses
pipeline.begin_pass(slots, positions)                      # every forward pass
hidden = pipeline.layer(20, hidden, run_again)             # every monitored layer in it
reports = pipeline.reports()                               # at the end

Where responses come and go, :meth:`Pipeline.finish` takes leave of the one that is over, and
:meth:`Pipeline.start` puts the next one into its slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from l2_harness.config.interventions import InterventionConfig
from l2_harness.config.technique import built
from l2_harness.config.techniques import TECHNIQUES
from l2_harness.interventions.edit_plans import EditPlans
from l2_harness.interventions.entropy_recursion import LogProbs
from l2_harness.interventions.layer import LayerInterventions
from l2_harness.interventions.layer_technique import RunAgain, Shared
from l2_harness.interventions.reports import ResponseReport, count_and_tell, no_counts
from l2_harness.interventions.responses import Pass, PooledRows, Response, ResponseLedger
from l2_harness.interventions.step_log import StepLog
from l2_harness.interventions.thresholds import (
    QUARTILES,
    LayerThreshold,
    NormQuantiles,
    PooledQuantiles,
    RequestQuantiles,
)

#: Gives the report of a response that is over, once. The first one that is asked for reads out
#: what waits of all, so it is worth while to let many responses end before.
LateReport = Callable[[], ResponseReport]


@dataclass(frozen=True)
class _End:
    """What layers hold of a response that ends.

    Attributes:
        rows: layer → rows that it was handed.
        held: layer → counter → a tensor of one number.
    """

    rows: Mapping[int, int]
    held: Mapping[int, Mapping[str, Tensor]]


class InterventionRun:
    """The configuration for one model, and what a run's responses share: the pooled norms.

    Args:
        config: what to do.
        layers: the monitored layers.
        values: layer → threshold, for ``threshold=fixed`` and ``threshold=calibrated``.

    Raises:
        ValueError: a monitored layer without a fixed value.
        ConfigError: too few monitored layers for a technique.
    """

    def __init__(
        self,
        config: InterventionConfig,
        layers: Sequence[int],
        values: Mapping[int, float] | None = None,
    ) -> None:
        config.check_layers(layers)
        self.config = config
        self.layers = tuple(layers)
        self.values = dict(values or {})
        self.quantiles = _quantiles(config)
        if config.threshold.threshold != "iqr" and set(self.layers) - set(self.values):
            raise ValueError("threshold=fixed and calibrated need a value for each layer.")
        is_pooled = config.threshold.threshold_scope == "pooled"
        self.pooled_rows = PooledRows() if is_pooled else None
        self._pool = PooledQuantiles(self.quantiles) if is_pooled else None

    def pipeline(self, responses: Sequence[Response] = (), n_slots: int | None = None) -> Pipeline:
        """For responses that are decoded together, one a slot, in order.

        Args:
            responses: those that start now; more may start later (:meth:`Pipeline.start`).
            n_slots: room for responses, if more than these.
        """
        pipeline = Pipeline(self, n_slots or len(responses))
        for slot, response in enumerate(responses):
            pipeline.start(slot, response)
        return pipeline

    def statistics(self, n_slots: int, device: torch.device) -> NormQuantiles | None:
        """Where the quantiles for a pipeline's layers on one device come from."""
        if not self.quantiles:
            return None
        return self._pool or RequestQuantiles(n_slots, self.quantiles, device)

    def threshold(self, layer: int, statistics: NormQuantiles | None) -> LayerThreshold:
        """What judges the rows of one layer of a pipeline."""
        threshold = self.config.threshold
        k = threshold.threshold_k if threshold.threshold == "iqr" else None
        return LayerThreshold(layer, k, self.values.get(layer), statistics, self.quantiles)


class Pipeline:
    """The interventions on responses that are decoded together.

    Args:
        run: what they share with the run.
        n_slots: most responses at a time.
    """

    def __init__(self, run: InterventionRun, n_slots: int) -> None:
        self._run = run
        self._n_slots = n_slots
        threshold, warmups = run.config.threshold, run.config.warmups
        self._ledger = ResponseLedger(
            n_slots,
            run.layers,
            {name: warmups[name] for name in run.config.acting()},
            threshold.threshold_prompt,
            run.pooled_rows,
        )
        self._log = StepLog()
        self._shared = _shared(run, n_slots)
        self._plans: EditPlans | None = None
        self._layers: dict[int, LayerInterventions] = {}
        self._statistics: dict[torch.device, NormQuantiles | None] = {}
        self._rows_seen = {layer: np.zeros(n_slots, dtype=np.int64) for layer in run.layers}
        self._uncounted: tuple[np.ndarray, frozenset[int], int] | None = None
        self._pass: Pass | None = None
        self._done: set[int] = set()
        self._over: dict[int, _End] = {}

    def start(self, slot: int, response: Response) -> None:
        """A response begins in a slot; :meth:`finish` the one before it first.

        Raises:
            ValueError: no such slot, or a prompt of no token.
        """
        self._close_pass()
        self._count_rows()
        self._ledger.start(slot, response)
        self._log.keep(self._wanted)
        for shared in self._shared.values():
            shared.start(slot, response.scored)
        if self._plans is None and response.recorded is not None:
            self._plans = EditPlans(self._n_slots, self._run.config.first_rows)
        if self._plans is not None:
            self._plans.start(slot, response.key, response.recorded)
        for seen in self._rows_seen.values():
            seen[slot] = 0

    def begin_pass(self, slots: np.ndarray, positions: np.ndarray) -> None:
        """A forward pass begins.

        Args:
            slots: (n,) int64, whose row each row of the pass is, in any order; several rows
                of one response in ascending order of position.
            positions: (n,) int64, absolute: 0 is the response's first prompt token, padding
                left out. Row t of a response is at ``prompt_tokens − 1 + t``. Prompt rows may
                be left out, unless they count (``threshold_prompt``, scored responses). A
                response that begins again at its prompt is replayed from there: the same
                edits, and nothing counted twice.

        Raises:
            ValueError: a response's row is left out or comes again, the slot has none, or
                ``suppression=shuffled`` would need the rows one by one.
        """
        self._close_pass()
        if self._log.is_long:
            self._log.read(self._wanted)
        self._pass = self._ledger.admit(
            np.asarray(slots, dtype=np.int64), np.asarray(positions, dtype=np.int64)
        )
        for shared in self._shared.values():
            shared.check(self._pass)
        if len(self._pass.restarted):
            self._restart(self._pass.restarted)

    def _restart(self, slots: np.ndarray) -> None:
        """Responses begin anew; the layers' techniques are told in the pass itself."""
        self._count_rows()
        for seen in self._rows_seen.values():
            seen[slots] = 0
        self._log.keep(self._wanted)
        for statistics in self._statistics.values():
            if statistics is not None:
                statistics.reset(slots)

    def layer(self, layer: int, hidden: Tensor, run_again: RunAgain | None = None) -> Tensor:
        """A monitored layer has run: its output with this layer's edits.

        At most one host synchronisation, and that only with recursion on.

        Args:
            layer: its index.
            hidden: (n, d) its output for the rows of the pass; not changed.
            run_again: ``run_again(states, which)``: the layer's output (m, d) for states (m, d)
                in place of its inputs at the rows ``which`` (m,) of this pass, reading the
                cache of the first pass and writing nothing. Needed where recursion is on.

        Returns:
            (n, d) of the same type; ``hidden`` itself where nothing is edited.

        Raises:
            RuntimeError: the layer ran twice in the pass, or no pass has begun.
            ValueError: not a monitored layer, or not the pass's number of rows.
        """
        current = self._current(layer, hidden)
        with torch.no_grad():
            if layer not in self._layers:
                self._layers[layer] = self._interventions(layer, hidden)
            return self._layers[layer].step(current, hidden, run_again)

    def _interventions(self, layer: int, like: Tensor) -> LayerInterventions:
        """What acts at a layer that runs for the first time."""
        if like.device not in self._statistics:
            self._statistics[like.device] = self._run.statistics(self._n_slots, like.device)
        return LayerInterventions(
            self._run.config,
            layer,
            self._run.threshold(layer, self._statistics[like.device]),
            self._n_slots,
            like,
            self._log,
            self._shared,
            self._plans,
        )

    def top(
        self, layer: int, hidden: Tensor, run_top_again: RunAgain, log_probs: LogProbs
    ) -> Tensor:
        """The last layer has run: its output, with what acts at the top applied.

        Args:
            layer: the last layer's index, under which this is counted.
            hidden: (n, d) its output for the rows of the pass; not changed.
            run_top_again: like ``run_again`` of :meth:`layer`, through the top L layers
                (:meth:`~l2_harness.config.technique.TechniqueConfig.layers_a_pass`).
            log_probs: ``log_probs(states, which)``: (m, vocabulary) next-token log-probabilities
                of states (m, d) at the rows ``which`` (m,).

        Returns:
            (n, d) of the same type; ``hidden`` itself where nothing is edited.
        """
        assert self._pass is not None, "begin_pass comes first"
        rows = self._pass.judged
        for name, config in self._run.config.acting().items():
            builder = TECHNIQUES[name].top
            if config.acts_at != "top" or builder is None or not rows.editable[name].any:
                continue
            with torch.no_grad():
                technique = built(builder)(config, layer, self._log)
                part = rows.part_of(hidden)
                edited = technique.run(
                    rows,
                    part,
                    lambda states, which: run_top_again(states, rows.whole_index(which)),
                    lambda states, which: log_probs(states, rows.whole_index(which)),
                )
                hidden = rows.put_back(hidden, part, edited)
        return hidden

    def reports(self, slots: Sequence[int] | None = None) -> list[ResponseReport]:
        """What has happened so far to the responses in some slots, or in all; waits for the
        device.
        """
        chosen = range(self._n_slots) if slots is None else slots
        ends = [self._end(slot) for slot in chosen]
        self._log.read(self._wanted)
        numbers = self._ledger.numbers[list(chosen)].tolist()
        return [self._report(*each) for each in zip(numbers, ends, strict=True)]

    def finish(self, slot: int) -> LateReport:
        """The response in a slot is over: what happened to it, to be asked for later.

        An engine that ran rows which it doesn't keep cuts the report
        (:meth:`~l2_harness.interventions.ResponseReport.cut`). The slot has no further rows
        before :meth:`start`.
        """
        number = int(self._ledger.numbers[slot])
        self._over[number] = self._end(slot)
        self._ledger.end(slot)
        for seen in self._rows_seen.values():
            seen[slot] = 0
        return partial(self._late_report, number)

    def _late_report(self, number: int) -> ResponseReport:
        self._log.read(self._wanted)
        report = self._report(number, self._over.pop(number))
        self._log.keep(self._wanted)
        return report

    @property
    def _wanted(self) -> list[int]:
        """The numbers of the responses whose reports may still be asked for."""
        return [*self._ledger.numbers.tolist(), *self._over]

    def _end(self, slot: int) -> _End:
        self._close_pass()
        self._count_rows()
        return _End(
            {layer: int(seen[slot]) for layer, seen in self._rows_seen.items()},
            {layer: state.at_end(slot) for layer, state in self._layers.items()},
        )

    def _report(self, number: int, end: _End) -> ResponseReport:
        found = count_and_tell(self._log.of(number))
        counters = found.counters
        for layer, rows in end.rows.items():
            if layer not in counters:
                counters[layer] = no_counts()
            counters[layer]["rows"] = rows
            held = end.held.get(layer, {})
            counters[layer] |= {name: int(value) for name, value in held.items()}
        return replace(found, counters=dict(sorted(counters.items())))

    @property
    def in_pass(self) -> bool:
        """Whether a pass has begun that is not over: what a layer hands over belongs to it."""
        return self._pass is not None

    def end_pass(self) -> None:
        """The latest pass is over; the next one, a report or a start end it as well."""
        self._close_pass()

    def _close_pass(self) -> None:
        """Count the rows of the latest pass at the layers that saw it."""
        if self._pass is None:
            return
        layers = frozenset(self._done)
        for wave in self._pass.waves.parts:
            if (
                self._uncounted
                and self._uncounted[0] is wave.slots
                and self._uncounted[1] == layers
            ):
                self._uncounted = wave.slots, layers, self._uncounted[2] + 1
            else:
                self._count_rows()
                self._uncounted = wave.slots, layers, 1
        self._pass = None
        self._done.clear()

    def _count_rows(self) -> None:
        """Add up the passes with the same rows, which :meth:`_close_pass` only counts."""
        if self._uncounted is not None:
            slots, layers, passes = self._uncounted
            for layer in layers:
                self._rows_seen[layer][slots] += passes
        self._uncounted = None

    def _current(self, layer: int, hidden: Tensor) -> Pass:
        if self._pass is None or layer in self._done:
            raise RuntimeError(
                f"Layer {layer} ran without a pass that it belongs to, or twice in one: call "
                "begin_pass before each forward pass, and run layers again without hooks."
            )
        if layer not in self._rows_seen or hidden.shape[0] != self._pass.size:
            raise ValueError(
                f"Layer {layer} has {hidden.shape[0]} rows; expected are the layers "
                f"{'+'.join(map(str, self._run.layers))} and {self._pass.size} rows."
            )
        self._done.add(layer)
        return self._pass


def _shared(run: InterventionRun, n_slots: int) -> dict[str, Shared]:
    """Technique → what its layers share in one pipeline."""
    found: dict[str, Shared] = {}
    for name, config in run.config.acting().items():
        builder = TECHNIQUES[name].shared
        shared = built(builder)(config, run.layers, n_slots) if builder is not None else None
        if shared is not None:
            found[name] = shared
    return found


def _quantiles(config: InterventionConfig) -> tuple[float, ...]:
    """The quantiles of the norms so far that something asks for."""
    wanted = set(QUARTILES) if config.threshold.threshold == "iqr" else set()
    for technique in config.techniques.values():
        wanted |= set(technique.quantiles)
    return tuple(sorted(wanted))
