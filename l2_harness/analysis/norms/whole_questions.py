"""Sums by question, handed on as soon as a question has all its responses."""

from __future__ import annotations

import numpy as np

from l2_harness.statistics.estimate import Floats


class WholeQuestions:
    """What the questions that lack responses have so far.

    Blocks of rows hold whole groups; a question of several groups may come in several blocks.

    Args:
        responses: (Q,) how many each question has.
    """

    def __init__(self, responses: np.ndarray) -> None:
        self._missing = responses.copy()
        self._held: dict[int, list[Floats]] = {}

    def add(self, question: np.ndarray, sums: list[Floats]) -> list[Floats]:
        """The sums of the questions that are complete with this block.

        Args:
            question: (n,) of each response of the block.
            sums: (m, ...) each, of the block's m questions in ascending order; changed in place.
        """
        questions, responses = np.unique(question, return_counts=True)
        self._missing[questions] -= responses
        for place, one in enumerate(questions.tolist()):
            for own, before in zip(sums, self._held.pop(one, ()), strict=False):
                own[place] += before
        complete = self._missing[questions] == 0
        for place in np.flatnonzero(~complete).tolist():
            self._held[int(questions[place])] = [own[place].copy() for own in sums]
        return sums if complete.all() else [own[complete] for own in sums]

    def rest(self) -> list[Floats]:
        """The sums of the questions that never got all responses; none are kept."""
        held, self._held = list(self._held.values()), {}
        return [np.stack(own) for own in zip(*held, strict=True)]
