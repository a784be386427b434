"""One batch while it runs: what its forward passes gave, and which request each row answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from l2_harness.engines.hf.generation_recorder import GenerationRecorder
from l2_harness.engines.hf.layer_hooks import ScoredRows
from l2_harness.engines.hf.scoring_recorder import Continuation
from l2_harness.engines.response_end import Decode, response_end
from l2_harness.interventions import Response, ResponseReport, stream_key
from l2_harness.interventions.reports import told
from l2_harness.norms import TraceEvent, hash_prompt
from l2_harness.norms.rows import ResponseRows

#: As lm-eval passes them: the two texts (None for a window of a long text), and their ids.
ScoringRequest = tuple[tuple[str, str] | None, list[int], list[int]]


class GenerationBatch:
    """A batch that ``generate`` runs; empty until :meth:`capture`, or for good where the way
    of decoding gives no row a token.
    """

    def __init__(self) -> None:
        self._recorder: GenerationRecorder | None = None
        self._tokens: Tensor
        self._prompt_tokens: list[int]
        self._stop: list[str]

    def capture(
        self,
        recorder: GenerationRecorder,
        tokens: Tensor,
        prompt_tokens: list[int],
        stop: list[str],
    ) -> None:
        """Keep what came out.

        Args:
            recorder: that watched the passes.
            tokens: (batch, width) the generated ids, padding after an end included.
            prompt_tokens: each prompt's number of tokens.
            stop: the stop strings.
        """
        self._recorder, self._tokens = recorder, tokens
        self._prompt_tokens, self._stop = prompt_tokens, stop

    def responses(
        self, eos_ids: Collection[int], raw_text: Decode
    ) -> list[tuple[ResponseRows, dict[str, Any]]]:
        """Each response's rows and trace columns, in the order of the batch."""
        if self._recorder is None:
            return []
        tokens = self._tokens.tolist()
        ends = [response_end(ids, eos_ids, self._stop, raw_text) for ids in tokens]
        rows = self._recorder.responses(self._tokens, [end.n_tokens for end in ends])
        return [
            (
                rows[i],
                {
                    "prompt_tokens": self._prompt_tokens[i],
                    "tokens": tokens[i][: end.n_tokens],
                    "finish_reason": end.reason,
                },
            )
            for i, end in enumerate(ends)
        ]


class ScoringBatch:
    """Requests that one forward pass scores, in the order of its rows.

    Args:
        requests: those of one group side by side.
        group: gives the key that requests share which one row of the pass serves; None
            where every request has its own row.
        max_length: positions that the model takes.
    """

    def __init__(
        self,
        requests: Sequence[ScoringRequest],
        group: Callable[[ScoringRequest], tuple[int, ...]] | None,
        max_length: int,
    ) -> None:
        self.requests = requests
        self.rows: list[ResponseRows] = []
        self.reports: list[ResponseReport] = []
        self._group = group
        self._max_length = max_length

    def continuations(self, n_virtual: int) -> list[Continuation]:
        """Where each request's rows are; ``n_virtual`` positions of prompt tuning come first."""
        found: list[Continuation] = []
        previous: object = None
        batch_row = -1
        for i, request in enumerate(self.requests):
            key = self._group(request) if self._group else i
            batch_row += key != previous
            previous = key
            _, context, continuation = request
            n_input = min(len(context) + len(continuation), self._max_length + 1) - 1
            found.append(Continuation(batch_row, n_virtual + n_input, continuation))
        return found

    def acting_rows(self, seed: int) -> ScoredRows:
        """The rows that interventions see: of every text, all positions up to its end."""
        responses: list[Response] = []
        rows: list[int] = []
        positions: list[int] = []
        for request, own in zip(self.requests, self.continuations(0), strict=True):
            if own.batch_row < len(responses):
                continue  # requests that differ in their last token only share a row
            text = hash_prompt(str(request[1] + request[2][:-1]))
            first = own.end - len(own.tokens)
            responses.append(Response(stream_key(seed, text, 0), first + 1, scored=True))
            rows += [own.batch_row] * own.end
            positions += range(own.end)
        return ScoredRows(responses, np.array(rows), np.array(positions))

    def events(self, request: int) -> list[TraceEvent]:
        """What was done to the rows of a request's continuation."""
        if not self.reports:
            return []
        own = self.continuations(0)[request]
        return told(self.reports[own.batch_row], len(own.tokens))
