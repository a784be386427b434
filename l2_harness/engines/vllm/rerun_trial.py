"""Whether layers can be run again, tried out on a short request before anything depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2_harness.engines.close_states import close_states
from l2_harness.engines.vllm.output_head import OutputHead
from l2_harness.engines.vllm.residual_stream import stream
from l2_harness.engines.vllm.second_pass import CannotRunAgainError, SecondPass
from l2_harness.engines.vllm.step_rows import Rows


class RerunTrial:
    """Each decode step of the trial: the same input must give the same output.

    Args:
        runner: vLLM's model runner.
        second: what runs a layer again.
        head: the head, where something acts at the top.
        top: the layers that are run again there.
    """

    def __init__(
        self, runner: Any, second: SecondPass, head: OutputHead | None, top: range | None
    ) -> None:
        self._runner, self._second, self._head, self._top = runner, second, head, top
        self._states: dict[int, Tensor] = {}
        self._tried: set[int] = set()
        self._faults: dict[int, str] = {}

    def visit(self, layer: int, hidden: Tensor, residual: Tensor | None) -> None:
        """A layer has run on the trial's only row."""
        batch = self._runner.input_batch
        position = int(batch.num_computed_tokens_cpu[0])
        if not position or batch.num_reqs != 1:  # the prompt's own pass
            return
        part = None if residual is None else residual[:1]
        output = self._states[layer] = stream(hidden[:1], part).clone()
        given = self._states.get(layer - 1)
        if layer not in self._second.layers or given is None:
            return
        rows = Rows(np.zeros(1, int), np.zeros(1, int), np.array([position]), given.device, True)
        self._tried.add(layer)
        try:
            fault = self._fault(layer, given, output, rows)
        except CannotRunAgainError as error:
            fault = str(error)
        except Exception as error:  # whatever a model's own code raises is the reason
            fault = f"{type(error).__name__}: {error}"
        if fault:
            self._faults[layer] = fault

    def compare_logits(self, logits: Tensor) -> None:
        """The head on the last state must give the model's own distribution."""
        if self._head is None or self._top is None:
            return
        last = self._states.get(self._top[-1])
        if last is not None and not close_states(
            self._head.log_probs(last), logits[:1].float().log_softmax(-1)
        ):
            self._faults[self._top[-1]] = "the head gives another distribution of its state."

    def faults(self, layers: Sequence[int]) -> list[str]:
        """What is wrong with some layers, in a line each; those not tried are wrong too."""
        missing = dict.fromkeys(set(layers) - self._tried, "the trial did not reach it.")
        found = {**missing, **self._faults}
        return [f"layer {layer}: {found[layer]}" for layer in sorted(found)]

    def _fault(self, layer: int, given: Tensor, output: Tensor, rows: Rows) -> str | None:
        which = torch.zeros(1, dtype=torch.int64, device=given.device)
        held = self._second.caches(layer)
        before = [cache.clone() for cache in held]
        found = self._second.run(layer, given, rows, which)
        if not all(torch.equal(*pair) for pair in zip(before, held, strict=True)):
            return "a second pass changes its keys and values."
        if not close_states(found, output):
            return "on the same input its output is another one."
        return None
