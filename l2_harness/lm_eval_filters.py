"""lm-eval filters that choose among a task's repeats, by the signals that the responses carry.

In a task's YAML, before any filter that rewrites the text:

    repeats: 16
    filter_list:
      - name: best of 16
        filter:
          - function: l2_select     # by: any name of `l2-harness selectors`, l2 by default
            by: l2_peaks
          - function: regex
            regex_pattern: ...
          - function: take_first

Like lm-eval's own ``majority_vote``, they leave a list of one response to each request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from lm_eval.api.filter import Filter

from l2_harness.answers import ANSWER_KINDS
from l2_harness.config.errors import ConfigError, unknown_value
from l2_harness.config.selectors import ALIASES, SELECTORS
from l2_harness.selection.choice import Candidates, choose
from l2_harness.selection.sampled_text import SampledText
from l2_harness.selection.vote_answers import answer_kind
from l2_harness.selection.votes import answer_labels


class SelectFilter(Filter):
    """``l2_select``: the best of a request's responses.

    Args:
        by: a selector; of ``random``, lm-eval's ``take_first`` does the work.
        answers: how votes compare answers: a kind, or ``auto``, as the task says.

    Raises:
        ConfigError: an unknown ``by`` or ``answers``.
    """

    BY: ClassVar[str] = "l2"

    def __init__(self, by: str | None = None, answers: str = "auto", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        by = self.BY if by is None else by
        allowed = [name for name in (*ALIASES, *SELECTORS) if name != "random"]
        if by not in allowed:
            raise unknown_value("by", by, allowed)
        if answers not in ("auto", *ANSWER_KINDS):
            raise unknown_value("answers", answers, ["auto", *ANSWER_KINDS])
        self._selector = SELECTORS[ALIASES.get(by, by)]
        self._answers = answers

    def apply(self, resps: Iterable[Sequence[str]], docs: Sequence[Any]) -> list[list[str]]:
        """The chosen response of each request, in a list of its own.

        Raises:
            ConfigError: responses that carry no signals.
            MissingScoreError: responses that carry others than the selector needs.
        """
        return [[self._chosen(list(of), doc)] for of, doc in zip(resps, docs, strict=True)]

    def _chosen(self, responses: list[str], doc: Any) -> str:
        if len(responses) == 1:
            return responses[0]
        signalled = [_signalled(response) for response in responses]
        names = set(signalled[0].scores).intersection(*(one.scores for one in signalled))
        labels = None
        if self._selector.kind == "vote":
            kind = answer_kind(doc, self._answers)
            labels = answer_labels([one.answer for one in signalled], kind)
        candidates = Candidates(
            {name: np.array([one.scores[name] for one in signalled]) for name in names},
            np.array([one.finish_reason == "length" for one in signalled]),
            labels,
        )
        return signalled[int(choose(self._selector, candidates))]


class MajorityFilter(SelectFilter):
    """``l2_majority``: the first response with the most frequent answer, by equivalence."""

    BY = "majority"


class VoteFilter(SelectFilter):
    """``l2_vote``: the ℓ2-weighted vote."""

    BY = "l2_vote"


class ConfidenceVoteFilter(SelectFilter):
    """``l2_confidence_vote``: the vote weighed by mean token confidence."""

    BY = "confidence_vote"


class BordaFilter(SelectFilter):
    """``l2_borda``: the self-certainty Borda vote."""

    BY = "self_certainty_borda"


def _signalled(response: str) -> SampledText:
    if isinstance(response, SampledText) and response.scores:
        return response
    raise ConfigError(
        "the filters l2_select, l2_majority and the like choose by signals, and a response "
        "carries none. They need --model l2hf with record=summary or record=tokens; responses "
        "that --use_cache answers have lost theirs (leave it out, or use trace_dir=DIR, which "
        "resumes); and a filter that rewrites the text, such as regex, must come after them."
    )
