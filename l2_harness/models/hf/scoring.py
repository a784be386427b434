"""How ``l2hf`` scores given texts: HFLM's scores, with the continuations' rows recorded."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.utils import Collator
from torch import Tensor

from l2_harness.config import ConfigError
from l2_harness.engines.hf.scoring_recorder import ScoringRecorder
from l2_harness.interventions.reports import told
from l2_harness.models.hf.base import HFBase
from l2_harness.models.hf.batches import ScoringBatch, ScoringRequest
from l2_harness.models.requests import RequestKey, request_keys

Answer = tuple[float, bool]


class ScoringLM(HFBase):
    """loglikelihood and loglikelihood_rolling requests.

    Batches are formed here, in HFLM's order and sizes, and handed to HFLM one at a time, so
    that it is known which request a row answers.
    """

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self._scoring: ScoringBatch | None = None
        self._scoring_keys: deque[RequestKey | None] = deque()

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Answer]:
        """HFLM's scores; the continuations' rows are recorded."""
        self._begin_requests()
        self._scoring_keys = deque(request_keys("loglikelihood", requests))
        return super().loglikelihood(requests, disable_tqdm=disable_tqdm)

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """HFLM's scores; every stretch of a long text is recorded under its own ``window``.

        With ``intervene_on=all`` a stretch is acted on as a response is that is generated: its
        rows so far make the threshold, and its first ones, the warm-up, are left alone.

        Raises:
            ConfigError: ``suppression=shuffled``, which takes such rows one by one.
        """
        self._begin_requests()
        self._scoring_keys = deque()
        if self._acts_on_scores and self._acting.suppression.suppression == "shuffled":
            raise ConfigError(
                "suppression=shuffled with intervene_on=all cannot act on loglikelihood_rolling: a "
                "text is scored in one pass, and an edit may go to an earlier layer in the next "
                "row. Pass suppression=random, or intervene_on=decode."
            )
        if self._recorder is not None or self._acts_on_scores:
            keys = request_keys("loglikelihood_rolling", requests)
            self._scoring_keys = deque(
                None if key is None else key.with_window(window)
                for key, request in zip(keys, requests, strict=True)
                for window in range(self._n_windows(request.args[0]))
            )
        return super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)

    def _n_windows(self, text: str) -> int:
        return -(-len(self.tok_encode(text)) // self.max_length)

    def _loglikelihood_tokens(
        self,
        requests: list[ScoringRequest],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[Answer]:
        """HFLM's scores of tokenised requests, in HFLM's batches."""
        if self._recorder is None and not self._acts_on_scores:
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        keys = [self._next_scoring_key() for _ in requests]
        results = self._recalled_answers(keys)
        todo = [i for i, result in enumerate(results) if result is None]
        disable_tqdm = disable_tqdm or override_bs is not None
        with self._progress("loglikelihood", len(todo), disable_tqdm) as progress:
            for batch in self._scoring_batches(requests, todo, override_bs):
                scored = self._new_batch([requests[i] for i in batch])
                answers = self._score_batch(scored)
                self._record_scores(scored, [keys[i] for i in batch], answers)
                for i, answer in zip(batch, answers, strict=True):
                    results[i] = answer
                progress(len(batch))
        return [result for result in results if result is not None]

    def _recalled_answers(self, keys: Sequence[RequestKey | None]) -> list[Answer | None]:
        """What an earlier run left of each request, None for most."""
        if self._recorder is None:
            return [None] * len(keys)
        earlier = self._recorder.recall(keys)
        there = [(key, found) for key, found in zip(keys, earlier, strict=True) if key and found]
        self._evaluation.count_recalled([key for key, _ in there], ())
        for key, found in there:
            self._recorder.take_over(key, found)
        return [_answer(found.scores) if found else None for found in earlier]

    def _next_scoring_key(self) -> RequestKey | None:
        """In the order of the requests; lm-eval pads a process's windows at the end."""
        return self._scoring_keys.popleft() if self._scoring_keys else None

    def _scoring_batches(
        self, requests: Sequence[ScoringRequest], todo: Sequence[int], override_bs: int | None
    ) -> Iterator[list[int]]:
        """Positions in ``requests`` of each batch that HFLM would form of ``todo``.

        HFLM runs one request of those whose contexts and continuations differ in the last
        token only, and scores them all from it: they stay together here.
        """
        if not todo:
            return
        group = self._context_key if self.logits_cache else None
        members = defaultdict(list)
        for i in todo:
            members[group(requests[i]) if group else i].append(i)
        collator = Collator(
            [(i, *requests[i][1:]) for i in todo],
            sort_fn=lambda item: (-len(item[1] + item[2]), tuple(item[1] + item[2])),
            group_by="contexts" if group else None,
            group_fn=self._context_key,
        )
        for chunk in collator.get_batched(*self._scoring_batch_size(override_bs)):
            batch = [i for item in chunk for i in members[group(item) if group else item[0]]]
            yield from self._apart(requests, batch) if self._acts_on_scores else [batch]

    def _apart(self, requests: Sequence[ScoringRequest], batch: Sequence[int]) -> list[list[int]]:
        """A batch in parts in which requests that HFLM scores from one row have one context.

        The context's rows make the threshold: where the same text is split elsewhere, another
        threshold holds, and what is done to its rows is another thing.
        """
        lengths: dict[tuple[int, ...], list[int]] = {}
        parts: dict[int, list[int]] = defaultdict(list)
        for i in batch:
            known = lengths.setdefault(self._context_key(requests[i]), [])
            length = len(requests[i][1])
            if length not in known:
                known.append(length)
            parts[known.index(length)].append(i)
        return list(parts.values())

    @staticmethod
    def _context_key(request: Any) -> tuple[int, ...]:
        return tuple(request[-2] + request[-1][:-1])

    def _scoring_batch_size(self, override_bs: int | None) -> tuple[int, Callable[..., int] | None]:
        if self.batch_size != "auto":
            return self.batch_size, None
        if override_bs is not None:
            return override_bs, None
        self.batch_sizes: dict[int, int] = {}
        return 0, self._batch_scheduler

    def _new_batch(self, requests: list[ScoringRequest]) -> ScoringBatch:
        return ScoringBatch(
            requests, self._context_key if self.logits_cache else None, self.max_length
        )

    def _score_batch(self, batch: ScoringBatch) -> list[Answer]:
        self._scoring, size = batch, len(batch.requests)
        try:
            with self._one_batch(size):
                return super()._loglikelihood_tokens(
                    list(batch.requests), disable_tqdm=True, override_bs=size
                )
        finally:
            self._scoring = None

    def _model_call(
        self, inps: Tensor, attn_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Watch HFLM's forward pass over a batch of contexts with their continuations."""
        batch = self._scoring
        if batch is None:
            return super()._model_call(inps, attn_mask, labels)
        with ExitStack() as stack:
            recorder = None
            if self._recorder is not None:
                recorder = ScoringRecorder(self._norms)
                stack.enter_context(recorder.recording())
            if self._hooks is not None and self._acts_on_scores:
                stack.enter_context(self._hooks.installed())
                stack.enter_context(self._hooks.scoring(batch.acting_rows(self._seed)))
            logits = super()._model_call(inps, attn_mask, labels)
            if self._hooks is not None and self._acts_on_scores:
                batch.reports = self._hooks.end()
            if recorder is not None:
                n_virtual = logits.shape[1] - inps.shape[1]
                batch.rows = recorder.rows(logits, batch.continuations(n_virtual))
        return logits

    def _record_scores(
        self,
        batch: ScoringBatch,
        keys: Sequence[RequestKey | None],
        answers: Sequence[Answer],
    ) -> None:
        for i, (key, (score, is_greedy)) in enumerate(zip(keys, answers, strict=True)):
            if key is None:
                continue
            _, context, continuation = batch.requests[i]
            report = batch.report(i)
            if report is not None:
                self._evaluation.count_scored(len(continuation), report)
            if self._recorder is not None:
                self._recorder.add(
                    key,
                    batch.rows[i],
                    prompt_tokens=len(context),
                    tokens=continuation,
                    text=self._raw_text(continuation),
                    scores={"loglikelihood": score, "is_greedy": float(is_greedy)},
                    events=() if report is None else told(report, len(continuation)),
                )
        if self._recorder is not None:
            self._recorder.flush()


def _answer(scores: dict[str, float]) -> Answer:
    return scores["loglikelihood"], bool(scores["is_greedy"])
