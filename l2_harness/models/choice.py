"""The choice among a group's samples while a run goes on: scores, answers, and who wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance

from l2_harness.answers import AnswerKind, opens_thinking
from l2_harness.config.selection import SelectionConfig
from l2_harness.config.selectors import SELECTORS
from l2_harness.models.sample_groups import Sample
from l2_harness.models.tally import Votes
from l2_harness.norms import hash_prompt
from l2_harness.selection.choice import Candidates, choose
from l2_harness.selection.group_scores import ScoredResponse, group_scores
from l2_harness.selection.random_choice import selection_draw
from l2_harness.selection.sampled_text import SampledText
from l2_harness.selection.vote_answers import answer_kind, vote_answer, vote_answers
from l2_harness.selection.votes import answer_labels


class SampleChooser:
    """Settles groups: every sample gets its scores, its answer, and whether it is chosen.

    Args:
        config: what to choose by.
        num_samples: samples a request; with one, lm-eval gets every sample of a group.
        seed: of the run.
        cuts_thinking: whether the texts come without their thinking.

    Attributes:
        votes: what the answers of settled groups rest on.
    """

    def __init__(
        self, config: SelectionConfig, num_samples: int, seed: int, cuts_thinking: bool
    ) -> None:
        self._config, self._num_samples = config, num_samples
        self._seed, self._cuts_thinking = seed, cuts_thinking
        self.votes = Votes()

    def receive(self, sample: Sample, request: Instance) -> None:
        """Fill in what is known of a sample before its group is complete."""
        sample.answer = self._answer(sample, request)
        if not self._config.enabled:
            sample.chosen = self._num_samples == 1 or sample.wanted.sample == 0

    def is_settled(self, group: Sequence[Sample]) -> bool:
        """Whether a complete group has its scores and its choice."""
        if len(group) == 1:
            return group[0].chosen is not None
        if self._config.enabled and not any(sample.chosen for sample in group):
            return False
        # where nothing gives rows, no sample has scores
        scored = ["length" in sample.scores for sample in group]
        return all(scored) or (self._config.enabled and not any(scored))

    def settle(self, group: Sequence[Sample], request: Instance) -> None:
        """Fill in ``scores`` and ``chosen`` of a complete group.

        Raises:
            MissingScoreError: the selector needs what this way of decoding does not record.
        """
        if len(group) > 1:
            self._score(group)
            self._read_answers(group, request)
        if self._config.enabled:
            winner = self._winner(group, request)
            for number, sample in enumerate(group):
                sample.chosen = number == winner

    def recall(self, group: Sequence[Sample], request: Instance) -> None:
        """A complete group that an earlier run settled: what its answers rest on counts again."""
        if len(group) > 1:
            self._read_answers(group, request)

    def _score(self, group: Sequence[Sample]) -> None:
        scored = [
            ScoredResponse(s.rows, s.thinking_end, _truncated(s))
            for s in group
            if s.rows is not None
        ]
        if len(scored) < len(group):  # nothing is recorded, or this way of decoding has no rows
            return
        config = self._config
        how = config.selection_on, config.selection_window, config.selection_temperature
        for sample, scores in zip(group, group_scores(scored, *how), strict=True):
            # rows that were read back have lost the numbers that rows alone do not give
            sample.scores = {**sample.scores, **scores}

    def _answer(self, sample: Sample, request: Instance) -> str | None:
        kind, opened = self._reading(request)
        return vote_answer(
            sample.text, request.doc, kind, opened=opened, truncated=_truncated(sample)
        )

    def _read_answers(self, group: Sequence[Sample], request: Instance) -> None:
        """Where no sample has an answer, those that were cut off are read as whole."""
        evens_out = group[0].wanted.key is None  # processes, and counts for nothing
        votes = Votes() if evens_out else self.votes
        votes.questions += 1
        for sample in group:
            sample.voted_as = sample.answer
        if any(sample.answer is not None for sample in group):
            return
        kind, opened = self._reading(request)
        texts, cut = [s.text for s in group], [_truncated(s) for s in group]
        answers, as_whole = vote_answers(texts, request.doc, kind, opened=opened, truncated=cut)
        for sample, answer in zip(group, answers, strict=True):
            sample.voted_as = answer
        votes.read_as_whole += as_whole
        votes.unanswered += not as_whole

    def _reading(self, request: Instance) -> tuple[AnswerKind, bool]:
        """How answers compare, and whether the prompt ended inside the thinking."""
        opened = not self._cuts_thinking and opens_thinking(str(request.args[0]))
        return answer_kind(request.doc, self._config.selection_answers), opened

    def _winner(self, group: Sequence[Sample], request: Instance) -> int:
        selector = SELECTORS[self._config.selection]
        kind: Any = answer_kind(request.doc, self._config.selection_answers)
        needs_answers = selector.kind == "vote"
        candidates = Candidates(
            stacked_scores([sample.scores for sample in group]),
            np.array([_truncated(sample) for sample in group]),
            answer_labels([s.voted_as for s in group], kind) if needs_answers else None,
        )
        repeat = group[0].wanted.stream // self._num_samples
        draw = selection_draw(self._seed, hash_prompt(request.args[0]), repeat)
        return int(choose(selector, candidates, draw))


def sampled_text(sample: Sample) -> SampledText:
    """What lm-eval gets of a settled sample."""
    return SampledText(
        sample.text,
        finish_reason=sample.finish_reason,
        n_tokens=sample.n_tokens,
        scores=sample.scores,
        answer=sample.voted_as or sample.answer,
    )


def stacked_scores(scores: Sequence[dict[str, float]]) -> dict[str, np.ndarray]:
    """Name → (n,), of the names that all of n responses have."""
    names = set(scores[0]).intersection(*scores[1:])
    return {name: np.array([one[name] for one in scores]) for name in sorted(names)}


def _truncated(sample: Sample) -> bool:
    return sample.finish_reason == "length"
