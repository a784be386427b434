"""One batch while it runs: what its forward passes gave, and which request each row answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from torch import Tensor

from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.hf.finite_rows import BrokenRow, FiniteRows
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
        self._output: Tensor
        self._start: int
        self._prompt_tokens: list[int]
        self._stop: list[str]
        self._finite: FiniteRows

    def capture(
        self,
        output: Tensor,
        start: int,
        prompt_tokens: list[int],
        stop: list[str],
        finite: FiniteRows,
        recorder: GenerationRecorder | None = None,
    ) -> None:
        """Keep what came out.

        Args:
            output: (batch, width) what ``generate`` gave, padding after an end included.
            start: where the generated ids begin in it.
            prompt_tokens: each prompt's number of tokens.
            stop: the stop strings.
            finite: that saw the scores.
            recorder: that watched the passes; None where nothing is recorded.
        """
        self._output, self._start = output, start
        self._prompt_tokens, self._stop = prompt_tokens, stop
        self._finite, self._recorder = finite, recorder

    def responses(
        self, texts: Sequence[str], eos_ids: Collection[int], raw_text: Decode
    ) -> list[FinishedResponse]:
        """The responses, in the order of the batch.

        Args:
            texts: what HFLM made of them.
            eos_ids: ids that end a response.
            raw_text: gives the text of some ids, special tokens included.
        """
        found = [
            self._end(prompt, ids, response_end(ids[self._start :], eos_ids, self._stop, raw_text))
            for prompt, ids in enumerate(self._output.tolist())
        ]
        rows = self._rows([end.n_tokens for end, _ in found])
        return [
            FinishedResponse(
                self._prompt_tokens[i],
                self._output[i, self._start :][: end.n_tokens].tolist(),
                end.reason,
                rows[i],
                text=text,
                broken=broken is not None,
                broken_norms=None if broken is None else self._norms_at(broken),
            )
            for i, ((end, broken), text) in enumerate(zip(found, texts, strict=True))
        ]

    def _end(
        self, prompt: int, ids: Sequence[int], end: ResponseEnd
    ) -> tuple[ResponseEnd, BrokenRow | None]:
        """A response's end, which may be where it is broken; what pads it afterwards may be too."""
        broken = self._finite.first_broken(prompt, ids)
        n_tokens = 0 if broken is None else len(broken.ids) - self._start + 1
        if broken is None or n_tokens > end.n_tokens:
            return end, None
        return ResponseEnd(n_tokens, "length"), broken

    def _rows(self, lengths: Sequence[int]) -> Sequence[ResponseRows | None]:
        tokens = self._output[:, self._start :]
        if self._recorder is None or not self._recorder.follows(tokens):
            return [None] * len(lengths)
        return self._recorder.responses(tokens, lengths)

    def _norms_at(self, broken: BrokenRow) -> np.ndarray | None:
        if self._recorder is None:
            return None
        return self._recorder.norms_at(broken.step, broken.row)


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
