"""The samples that selectors are compared on: n responses to each question, judged."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from l2_harness.norms import TraceWarning
from l2_harness.selection.choice import Candidates


@dataclass(frozen=True, eq=False)
class JudgedResponse:
    """One response.

    Attributes:
        correct: 1 or 0, or a metric between.
        length: in tokens, or in characters where tokens are not known.
        scores: name → value.
        truncated: whether the token limit cut it off.
        label: the same for equal answers to one question, −1 for none.
        read_as_whole: whether it was cut off and its answer is read all the same, since no
            response to the question has one otherwise.
    """

    correct: float
    length: float
    scores: Mapping[str, float] = field(default_factory=dict)
    truncated: bool = False
    label: int = -1
    read_as_whole: bool = False


@dataclass(frozen=True, eq=False)
class SampleTable:
    """Q questions with N responses each.

    Attributes:
        questions: (Q,) what names each.
        candidates: arrays (Q, N).
        correct: (Q, N) float64.
        lengths: (Q, N) float64.
        read_as_whole: questions without an answer but of cut-off responses read as whole.
    """

    questions: Sequence[Hashable]
    candidates: Candidates
    correct: np.ndarray
    lengths: np.ndarray
    read_as_whole: int = 0

    @property
    def unanswered(self) -> int:
        """Questions to which no response has an answer."""
        labels = self.candidates.labels
        return 0 if labels is None else int((labels < 0).all(axis=1).sum())

    @property
    def n(self) -> int:
        """Responses a question."""
        return int(self.correct.shape[1])

    @property
    def binary(self) -> bool:
        """Whether each response is simply right or wrong."""
        return bool(np.isin(self.correct, (0.0, 1.0)).all())


def sample_table(
    groups: Mapping[Hashable, Sequence[JudgedResponse]], *, with_labels: bool
) -> SampleTable:
    """The table of some questions' responses.

    Questions are compared at one N: of several, the one that most questions have; the others are
    left out. A score that some response lacks altogether is left out too.

    Args:
        groups: question → its responses, in the order of their samples.
        with_labels: whether answers are known.

    Raises:
        ValueError: no question at all.

    Warns:
        TraceWarning: questions left out.
    """
    if not groups:
        raise ValueError("there is no question to compare selectors on.")
    counts = Counter(len(group) for group in groups.values())
    n = max(counts, key=lambda size: (counts[size], size))
    kept = {question: group for question, group in groups.items() if len(group) == n}
    if len(kept) < len(groups):
        warnings.warn(
            f"{len(groups) - len(kept)} of {len(groups)} questions have another number of "
            f"responses than {n}; they are left out",
            TraceWarning,
            stacklevel=2,
        )
    rows = list(kept.values())
    names = set.intersection(*(set(one.scores) for row in rows for one in row))

    def grid(value: str) -> np.ndarray:
        return np.array([[getattr(one, value) for one in row] for row in rows])

    lengths = grid("length").astype(np.float64)
    scores = {
        name: np.array([[one.scores[name] for one in row] for row in rows], dtype=np.float64)
        for name in sorted(names)
    }
    candidates = Candidates(
        {"length": lengths, **scores}, grid("truncated"), grid("label") if with_labels else None
    )
    as_whole = int(grid("read_as_whole").any(axis=1).sum())
    correct = grid("correct").astype(np.float64)
    return SampleTable(list(kept), candidates, correct, lengths, as_whole)
