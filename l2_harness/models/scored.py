"""How our classes score given texts: lm-eval's scores, with the continuations' rows recorded."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lm_eval.api.instance import Instance

from l2_harness.config import ConfigError
from l2_harness.interventions import Response, ResponseReport, stream_key
from l2_harness.interventions.reports import told
from l2_harness.models.broken_numbers import no_numbers
from l2_harness.models.evaluated import EvaluatedLM
from l2_harness.models.requests import RequestKey, request_keys
from l2_harness.norms import hash_prompt
from l2_harness.norms.rows import ResponseRows

#: The log-likelihood of a continuation, and whether greedy decoding gives it.
Answer = tuple[float, bool]
#: As lm-eval passes them: the two texts (None for a window of a long text), and their ids.
ScoringRequest = tuple[tuple[str, str] | None, list[int], list[int]]


@dataclass(frozen=True, eq=False)
class ScoredText:
    """A continuation that has been scored now; rows and report where there are any."""

    request: ScoringRequest
    answer: Answer
    rows: ResponseRows | None
    report: ResponseReport | None


class ScoredLM(EvaluatedLM):
    """loglikelihood and loglikelihood_rolling requests, whose keys are noted on the way.

    lm-eval's class makes them into token requests, which come back in the same order.
    """

    #: Of the requests that lm-eval's class is about to score.
    _scoring_keys: deque[RequestKey | None] | tuple[()] = ()

    def _positions_a_window(self) -> int:
        """How many tokens of a long text lm-eval's class scores in one request."""
        raise NotImplementedError

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Answer]:
        """lm-eval's scores; the continuations' rows are recorded.

        A score that is no number counts as −∞, which lm-eval's metrics choose last; of NaN among
        numbers NumPy's argmax would be NaN.

        Raises:
            NumbersError: no score has a number.
        """
        self._begin_requests(requests)
        self._scoring_keys = deque(request_keys("loglikelihood", requests))
        found = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        self._check_numbers()
        return [(-math.inf, False) if math.isnan(one[0]) else one for one in found]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """lm-eval's scores; every stretch of a long text is recorded under its own ``window``.

        With ``intervene_on=all`` a stretch is acted on as a response is that is generated: its
        rows so far make the threshold, and its first ones, the warm-up, are left alone.

        Raises:
            ConfigError: ``suppression=shuffled``, which takes such rows one by one.
            NumbersError: no score has a number.
        """
        self._begin_requests(requests)
        if self._acts_on_scores and self._acting.suppression.suppression == "shuffled":
            raise ConfigError(
                "suppression=shuffled with intervene_on=all cannot act on loglikelihood_rolling: a "
                "text is scored in one pass, and an edit may go to an earlier layer in the next "
                "row. Pass suppression=random, or intervene_on=decode."
            )
        keys = request_keys("loglikelihood_rolling", requests)
        self._scoring_keys = deque(
            None if key is None else key.with_window(window)
            for key, request in zip(keys, requests, strict=True)
            for window in range(self._n_windows(request.args[0]))
        )
        found = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        self._check_numbers()
        return found

    def _check_numbers(self) -> None:
        """A model that gives no number at all is broken; other processes may have some."""
        tally = self._evaluation.tally
        if tally.only_broken and self.world_size == 1:
            raise no_numbers(tally.broken)

    def _n_windows(self, text: str) -> int:
        return -(-len(self.tok_encode(text)) // self._positions_a_window())

    def _next_scoring_keys(self, requests: Sequence[object]) -> list[RequestKey | None]:
        """In the order of the requests; lm-eval pads a process's windows at the end."""
        keys = self._scoring_keys
        return [keys.popleft() if keys else None for _ in requests]

    def _recalled_answers(self, keys: Sequence[RequestKey | None]) -> list[Answer | None]:
        """What an earlier run left of each request, None for most."""
        if self._recorder is None:
            return [None] * len(keys)
        earlier = self._recorder.recall(keys)
        there = [(key, found) for key, found in zip(keys, earlier, strict=True) if key and found]
        self._evaluation.count_recalled([key for key, _ in there], ())
        for key, found in there:
            self._recorder.take_over(key, found)
            self._evaluation.tally.numbers = True
        return [_answer(found.scores) if found else None for found in earlier]

    def _acting_text(self, request: ScoringRequest, first: int) -> Response:
        """What the interventions are told of a text whose row 0 is at position ``first``.

        A window of a long text (``loglikelihood_rolling``) has next to no context that could make
        a threshold: it is acted on as a response is that is generated.
        """
        text = hash_prompt(str(request[1] + request[2][:-1]))
        return Response(stream_key(self._seed, text, 0), first + 1, scored=request[0] is not None)

    def _record_scores(
        self, keys: Sequence[RequestKey | None], scored: Iterable[ScoredText]
    ) -> None:
        for key, one in zip(keys, scored, strict=True):
            if key is None:
                continue
            self._tell_broken(key, one.answer, one.rows)
            _, context, continuation = one.request
            if one.report is not None:
                self._evaluation.count_scored(len(continuation), one.report)
            if self._recorder is not None and one.rows is not None:
                score, is_greedy = one.answer
                self._recorder.add(
                    key,
                    one.rows,
                    prompt_tokens=len(context),
                    tokens=continuation,
                    text=self._raw_text(continuation),
                    scores={"loglikelihood": score, "is_greedy": float(is_greedy)},
                    events=() if one.report is None else told(one.report, len(continuation)),
                )
        if self._recorder is not None:
            self._recorder.flush()

    def _unrecorded(self, answers: list[Answer]) -> list[Answer]:
        """Scores of lm-eval's own class; those that are no numbers are told."""
        for key, answer in zip(self._next_scoring_keys(answers), answers, strict=True):
            self._tell_broken(key, answer)
        return answers

    def _tell_broken(
        self, key: RequestKey | None, answer: Answer, rows: ResponseRows | None = None
    ) -> None:
        """Of a score that is no number, unless lm-eval asked only to even out its processes."""
        if not math.isnan(answer[0]):
            self._evaluation.tally.numbers = True
        if key is None or not math.isnan(answer[0]):
            return
        row = rows.first_broken if rows is not None else None
        norms = None if rows is None or row is None else rows.norms[row]
        counts_as = "-inf" if key.resume.request_type == "loglikelihood" else "NaN"
        where = f"task {key.resume.task}, document {key.resume.doc_id}, a log-likelihood"
        self._evaluation.broken.tell(where, row, norms, f"it counts as {counts_as}")


def _answer(scores: dict[str, float]) -> Answer:
    return scores["loglikelihood"], bool(scores["is_greedy"])
