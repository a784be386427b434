"""How ``l2vllm`` scores given texts: vLLM's scores, with the continuations' rows recorded."""

from __future__ import annotations

from functools import partial
from secrets import token_hex
from typing import Any

from l2_harness.config import ConfigError
from l2_harness.engines.response_end import ResponseEnd
from l2_harness.engines.vllm.engine import Answer as EngineAnswer
from l2_harness.engines.vllm.engine import Ask
from l2_harness.engines.vllm.orders import Order
from l2_harness.models.scored import Answer, ScoredLM, ScoredText, ScoringRequest
from l2_harness.models.vllm.base import VllmBase


class ScoringLM(ScoredLM, VllmBase):
    """loglikelihood and loglikelihood_rolling requests."""

    def _positions_a_window(self) -> int:
        return self.max_length - 2

    def _loglikelihood_tokens(
        self, requests: list[ScoringRequest], disable_tqdm: bool = False
    ) -> list[Answer]:
        """VLLM's scores of tokenised requests."""
        if self._recorder is None and not self._acts_on_scores:
            return self._unrecorded(super()._loglikelihood_tokens(requests, disable_tqdm))
        if self._acts_on_scores and self._acting.suppression.suppression == "shuffled":
            raise ConfigError(
                "suppression=shuffled with intervene_on=all cannot act on given texts in vLLM, "
                "which runs them in one pass. Pass suppression=random, or intervene_on=decode."
            )
        keys = self._next_scoring_keys(requests)
        results = self._recalled_answers(keys)
        todo = [i for i, result in enumerate(results) if result is None]
        # the longest first, as lm-eval has them
        todo.sort(key=lambda i: -len(requests[i][1] + requests[i][2]))
        with self._progress("loglikelihood", len(todo), disable_tqdm) as progress:
            for answers in self._engine.run([self._score(i, requests[i]) for i in todo]):
                scored = [self._scored(answer) for answer in answers]
                places = [answer.ask.about[0] for answer in answers]
                for place, one in zip(places, scored, strict=True):
                    results[place] = one.answer
                    self._keep(one)
                self._record_scores([keys[i] for i in places], scored)
                progress(len(answers))
        return [result for result in results if result is not None]

    def _score(self, place: int, request: ScoringRequest) -> Ask:
        from vllm import SamplingParams

        _, context, continuation = request
        # vLLM makes one token of every request, which needs a position of its own
        tokens = (context + continuation)[-(self.max_length - 1) :]
        first = len(tokens) - len(continuation) - 1
        acting = self._acting_text(request, first) if self._acts_on_scores else None
        order = partial(
            Order, first=first, end=len(tokens) - 1, tokens=tokens[first + 1 :], acting=acting
        )
        params = SamplingParams(
            temperature=0,
            prompt_logprobs=1,
            max_tokens=1,
            detokenize=False,
            skip_reading_prefix_cache=True,
        )
        return Ask(
            about=(place, request, first + 1),
            prompt=tokens,
            params=params,
            order=order,
            end=partial(_end, len(continuation)),
            # its own states are changed, which no other request may read
            salt=token_hex(8) if acting is not None else None,
        )

    def _scored(self, answer: EngineAnswer) -> ScoredText:
        _, request, context_length = answer.ask.about
        found: Any = self._parse_logprobs(
            tokens=list(answer.ask.prompt), outputs=answer.output, ctxlen=context_length
        )
        return ScoredText(request, found, answer.rows, answer.report)

    def _keep(self, scored: ScoredText) -> None:
        """What ``--use_cache`` gets."""
        texts = scored.request[0]
        if texts is not None:
            self.cache_hook.add_partial("loglikelihood", texts, scored.answer)


def _end(n_tokens: int, output: Any) -> ResponseEnd:
    """Of a continuation, whatever vLLM made of it."""
    return ResponseEnd(n_tokens, "length")
