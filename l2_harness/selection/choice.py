"""One response chosen of n, by a selector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from l2_harness.config.selectors import Selector, what_records
from l2_harness.selection.distribution_vote import distribution_vote
from l2_harness.selection.ranking import best, eligible
from l2_harness.selection.votes import borda_weights, vote


class MissingScoreError(ValueError):
    """A selector needs a score that was not recorded; the message says how to record it."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The responses to one prompt, or to many prompts with n each: arrays (..., n).

    Attributes:
        scores: name → float64; nan where a response has none.
        truncated: bool, whether the token limit cut a response off.
        labels: int64, equal for equal answers, −1 for none; None where answers are not known.
    """

    scores: Mapping[str, np.ndarray]
    truncated: np.ndarray
    labels: np.ndarray | None = None

    def score(self, selector: Selector) -> np.ndarray:
        """(..., n) what a selector goes by, turned so that larger is better.

        Raises:
            MissingScoreError: it was not recorded.
        """
        if selector.score not in self.scores:
            raise MissingScoreError(
                f"{selector.name} needs the score {selector.score!r}, which these responses do "
                f"not have. Sample them with l2hf and {what_records(selector.score)}."
            )
        value = self.scores[selector.score]
        return value if selector.largest else -value

    def only(self, selector: Selector) -> Candidates:
        """The same responses with the score of one selector."""
        return replace(
            self, scores={name: of for name, of in self.scores.items() if name == selector.score}
        )

    def subset(self, positions: np.ndarray) -> Candidates:
        """Arrays (..., *positions.shape): the prompts with some of their responses (..., k)."""
        return Candidates(
            {name: value[..., positions] for name, value in self.scores.items()},
            self.truncated[..., positions],
            None if self.labels is None else self.labels[..., positions],
        )


def choose(
    selector: Selector, candidates: Candidates, draw: np.ndarray | float | None = None
) -> np.ndarray:
    """(...) the positions of the chosen responses.

    Args:
        selector: any but the oracle.
        candidates: n responses a prompt, n ≥ 1.
        draw: (...) numbers in [0, 1), for the random selector only.

    Raises:
        MissingScoreError: the selector needs what was not recorded.
    """
    allowed = eligible(candidates.truncated)
    if selector.kind == "random":
        return _drawn(allowed, draw)
    if selector.kind == "score":
        return best(candidates.score(selector), allowed)
    if candidates.labels is None:
        raise MissingScoreError(f"{selector.name} needs the responses' answers.")
    labels = candidates.labels
    if not selector.score:
        equal = np.zeros(labels.shape)
        return vote(labels, equal, equal, allowed)
    values = candidates.score(selector)
    if selector.mixture:
        n = labels.shape[-1]
        of_prompts = (np.reshape(one, (-1, n)) for one in (labels, values, allowed))
        return distribution_vote(*of_prompts).reshape(labels.shape[:-1])
    weights = borda_weights(values, allowed & (labels >= 0)) if selector.borda else values
    return vote(labels, weights, values, allowed)


def _drawn(allowed: np.ndarray, draw: np.ndarray | float | None) -> np.ndarray:
    """(...) the k-th of the allowed positions, k by the draw."""
    if draw is None:
        raise ValueError("the random selector needs a draw in [0, 1).")
    number = np.floor(np.asarray(draw) * allowed.sum(-1)).astype(np.int64)
    return np.asarray(((allowed.cumsum(-1) > number[..., None]) & allowed).argmax(-1))
