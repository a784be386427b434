"""Responses under way: their tokens and recorded rows, where each ends, and who gets it then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.layer_hooks import LayerHooks
from l2_harness.engines.hf.prefill import PassOutput
from l2_harness.engines.response_end import EndRule, FinishReason
from l2_harness.engines.response_log import ResponseLog
from l2_harness.engines.slot_table import SlotTable
from l2_harness.interventions import LateReport

#: Complete responses are handed over when there are as many as run side by side, or after this
#: many seconds: writing each by itself would cost more than it could save.
_HELD_BACK_S = 2.0

#: In place of a token where the logits are no numbers.
_NO_TOKEN = 0

Deliver = Callable[[list[tuple[int, FinishedResponse]]], None]


class ResponsesUnderWay:
    """Knows responses by number, and nothing of rows of the cache.

    Args:
        end_rule: says where a response ends.
        deliver: takes complete ones.
        max_rows: responses at a time.
        hooks: the interventions, None for none.
    """

    def __init__(
        self, end_rule: EndRule, deliver: Deliver, max_rows: int, hooks: LayerHooks | None
    ) -> None:
        self._end_rule, self._deliver = end_rule, deliver
        self._max_rows, self._hooks = max_rows, hooks
        self._log = ResponseLog()
        self._slots = SlotTable(max_rows)
        self._tokens: dict[int, list[int]] = {}
        self._prompt_tokens: dict[int, int] = {}
        self._complete: dict[int, FinishedResponse] = {}
        self._reports: dict[int, LateReport] = {}
        self._delivered_at = time.monotonic()
        self._broken: set[int] = set()

    def __len__(self) -> int:
        return len(self._tokens)

    def begin(self, response: int, prompt_tokens: int) -> int:
        """A response begins after a prompt of so many tokens; the slot that it has."""
        self._tokens[response] = []
        self._prompt_tokens[response] = prompt_tokens
        return self._slots.take(response)

    def length(self, response: int) -> int:
        """Tokens of a response and its prompt so far."""
        return self._prompt_tokens[response] + len(self._tokens[response])

    def announce(self, responses: Sequence[int]) -> None:
        """Tell the interventions which rows the next pass has."""
        if self._hooks is not None:
            positions = [self.length(response) - 1 for response in responses]
            self._hooks.step(self._slots.of(responses), positions)

    def add(self, responses: Sequence[int], output: PassOutput, chosen: Tensor) -> list[int]:
        """Take a token of each response; the rows of those that go on.

        Args:
            responses: which response each row belongs to.
            output: what the pass gave.
            chosen: (rows,) int64.
        """
        vocabulary = output.logits.shape[-1]
        within = chosen.clamp(max=vocabulary - 1)
        picked = output.logits.gather(-1, within.unsqueeze(-1)).squeeze(-1)
        # a draw from no distribution lies beyond the vocabulary, and so does what stands for one
        tokens = chosen.masked_fill(~picked.isfinite(), vocabulary).tolist()
        if output.norms is not None:
            self._log.add(responses, output.norms, output.logits, within, output.states)
        going_on, ended = [], {}
        for row, (response, token) in enumerate(zip(responses, tokens, strict=True)):
            own = self._tokens[response]
            own.append(token if token < vocabulary else _NO_TOKEN)
            reason = self._end_rule.reason(own)
            if token == vocabulary:
                self._broken.add(response)
                reason = "length"
            if reason is None:
                going_on.append(row)
            else:
                ended[response] = reason
        if ended:
            self._end(ended)
        return going_on

    def deliver(self) -> None:
        """Hand over what is complete."""
        complete, self._complete = self._complete, {}
        for response, rows in self._log.take(complete).items():
            complete[response] = replace(complete[response], rows=rows)
        for response, report in self._reports.items():
            complete[response] = replace(complete[response], report=report())
        self._reports.clear()
        if complete:
            self._deliver(sorted(complete.items()))
        self._delivered_at = time.monotonic()

    def _end(self, ended: dict[int, FinishReason]) -> None:
        for response, reason in ended.items():
            slot = self._slots.release(response)
            if self._hooks is not None:
                self._reports[response] = self._hooks.finish(slot)
            self._complete[response] = FinishedResponse(
                self._prompt_tokens.pop(response),
                self._tokens.pop(response),
                reason,
                broken=response in self._broken,
            )
        held_back = time.monotonic() - self._delivered_at
        if len(self._complete) >= self._max_rows or held_back > _HELD_BACK_S:
            self.deliver()
