"""One batch while it runs: what its forward passes gave, and which request each row answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from torch import Tensor

from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.generation_recorder import GenerationRecorder
from l2_harness.engines.hf.layer_hooks import ScoredRows
from l2_harness.engines.hf.scoring_recorder import Continuation
from l2_harness.engines.response_end import Decode, ResponseEnd, response_end
from l2_harness.interventions import Response, ResponseReport
from l2_harness.models.scored import Answer, ScoredText, ScoringRequest
from l2_harness.norms.rows import ResponseRows


class GenerationBatch:
    """A batch that stock ``generate`` runs; empty until :meth:`capture`."""

    def __init__(self) -> None:
        self._recorder: GenerationRecorder | None = None
        self._tokens: Tensor
        self._prompt_tokens: list[int]
        self._stop: list[str]
        self._broken: Sequence[int | None]

    def capture(
        self,
        tokens: Tensor,
        prompt_tokens: list[int],
        stop: list[str],
        broken: Sequence[int | None],
        recorder: GenerationRecorder | None = None,
    ) -> None:
        """Keep what came out.

        Args:
            tokens: (batch, width) the generated ids, padding after an end included.
            prompt_tokens: each prompt's number of tokens.
            stop: the stop strings.
            broken: of each row, its tokens up to one whose logits are not finite; None of most.
            recorder: that watched the passes; None where nothing is recorded, or a pass did not
                give each row a token.
        """
        self._tokens, self._prompt_tokens, self._stop = tokens, prompt_tokens, stop
        self._broken, self._recorder = broken, recorder

    def responses(
        self, texts: Sequence[str], eos_ids: Collection[int], raw_text: Decode
    ) -> list[FinishedResponse]:
        """The responses, in the order of the batch.

        Args:
            texts: what HFLM made of them.
            eos_ids: ids that end a response.
            raw_text: gives the text of some ids, special tokens included.
        """
        tokens = self._tokens.tolist()
        ends = [
            response_end(ids, eos_ids, self._stop, raw_text)
            if broken is None
            else ResponseEnd(broken, "length")
            for ids, broken in zip(tokens, self._broken, strict=True)
        ]
        lengths = [end.n_tokens for end in ends]
        rows: list[ResponseRows | None] = [None] * len(tokens)
        if self._recorder is not None:
            rows = [*self._recorder.responses(self._tokens, lengths)]
        return [
            FinishedResponse(
                self._prompt_tokens[i],
                tokens[i][: end.n_tokens],
                end.reason,
                rows[i],
                text=text,
                broken=self._broken[i] is not None,
            )
            for i, (end, text) in enumerate(zip(ends, texts, strict=True))
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

    def acting_rows(self, response: Callable[[ScoringRequest, int], Response]) -> ScoredRows:
        """The rows that interventions see: of every text, all positions up to its end.

        Args:
            response: what they are told of a request, from the position of its row 0.
        """
        responses: list[Response] = []
        rows: list[int] = []
        positions: list[int] = []
        for request, own in zip(self.requests, self.continuations(0), strict=True):
            if own.batch_row < len(responses):
                continue  # requests that differ in their last token only share a row
            responses.append(response(request, own.end - len(own.tokens)))
            rows += [own.batch_row] * own.end
            positions += range(own.end)
        return ScoredRows(responses, np.array(rows), np.array(positions))

    def scored(self, answers: Sequence[Answer]) -> list[ScoredText]:
        """The batch with its answers, and what was recorded of it."""
        return [
            ScoredText(request, answer, self.rows[i] if self.rows else None, self.report(i))
            for i, (request, answer) in enumerate(zip(self.requests, answers, strict=True))
        ]

    def report(self, request: int) -> ResponseReport | None:
        """What was done to the rows of a request's continuation; requests may share a row."""
        if not self.reports:
            return None
        return self.reports[self.continuations(0)[request].batch_row]
