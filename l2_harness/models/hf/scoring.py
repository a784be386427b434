"""How ``l2hf`` scores given texts: HFLM's scores, with the continuations' rows recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from lm_eval.models.utils import Collator
from torch import Tensor

from l2_harness.engines.hf.scoring_recorder import ScoringRecorder
from l2_harness.models.hf.base import HFBase
from l2_harness.models.hf.batches import ScoringBatch
from l2_harness.models.scored import Answer, ScoredLM, ScoringRequest


class ScoringLM(ScoredLM, HFBase):
    """loglikelihood and loglikelihood_rolling requests.

    Batches are formed here, in HFLM's order and sizes, and handed to HFLM one at a time, so
    that it is known which request a row answers.
    """

    def __init__(self, pretrained: Any, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self._scoring: ScoringBatch | None = None

    def _positions_a_window(self) -> int:
        return self.max_length

    def _loglikelihood_tokens(
        self,
        requests: list[ScoringRequest],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[Answer]:
        """HFLM's scores of tokenised requests, in HFLM's batches."""
        if self._recorder is None and not self._acts_on_scores:
            answers = super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
            return self._unrecorded(answers)
        keys = self._next_scoring_keys(requests)
        results = self._recalled_answers(keys)
        todo = [i for i, result in enumerate(results) if result is None]
        disable_tqdm = disable_tqdm or override_bs is not None
        with self._progress("loglikelihood", len(todo), disable_tqdm) as progress:
            for batch in self._scoring_batches(requests, todo, override_bs):
                scored = self._new_batch([requests[i] for i in batch])
                answers = self._score_batch(scored)
                self._record_scores([keys[i] for i in batch], scored.scored(answers))
                for i, answer in zip(batch, answers, strict=True):
                    results[i] = answer
                progress(len(batch))
        return [result for result in results if result is not None]

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
                stack.enter_context(self._hooks.scoring(batch.acting_rows(self._acting_text)))
            logits = super()._model_call(inps, attn_mask, labels)
            if self._hooks is not None and self._acts_on_scores:
                batch.reports = self._hooks.end()
            if recorder is not None:
                n_virtual = logits.shape[1] - inps.shape[1]
                batch.rows = recorder.rows(logits, batch.continuations(n_virtual))
        return logits
