"""What one run came to: a score for each question, and what it cost.

The common ground of everything that runs something and everything that compares. A run of a suite
gives outcomes, and so does a folder of lm-eval's results from elsewhere, of any model class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Role = Literal["plain", "null", "method", "control", "rival"]
"""``plain`` is what all are compared with; ``null`` is it once more, with another batch size or
seed; a ``control`` does as a method does without its idea; a ``rival`` is another's idea."""

Weighting = Literal["questions", "tasks"]
"""What counts the same in a figure: every question, or every task of a group."""


@dataclass(frozen=True)
class Cost:
    """What a run took; None where it isn't known.

    Attributes:
        seconds: wall time of answering, without loading the model.
        tokens: response tokens, of all samples.
        samples: responses to a question.
        extra_layer_passes: forward passes of single layers beyond one a token and layer.
        layers: decoder layers, to tell extra passes as a share.
        peak_bytes: largest memory of the process (CPU) or of all its devices (GPU).
        edits: states that techniques changed, over all layers.
        edit_change: the sum of ‖Δ‖/‖h‖ over them.
        edit_places: the sum of their rows, from 0.
        passes: extra passes of recursion, one of all its top layers counting once.
        accepted: those whose result was taken.
        layers_without: at how many layers passes ran and none was taken.
    """

    seconds: float | None = None
    tokens: int | None = None
    samples: int | None = None
    extra_layer_passes: int | None = None
    layers: int | None = None
    peak_bytes: int | None = None
    edits: float | None = None
    edit_change: float | None = None
    edit_places: float | None = None
    passes: int | None = None
    accepted: int | None = None
    layers_without: int | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """Response tokens a second of wall time."""
        return self.tokens / self.seconds if self.tokens is not None and self.seconds else None


@dataclass(frozen=True)
class Aggregate:
    """What is left of a run whose questions' scores aren't known: a figure for all of them.

    Attributes:
        value: the metric, in its own unit.
        stderr: its standard error as reported; None where there is none.
        questions: how many it is of; None where it isn't known.
    """

    value: float
    stderr: float | None = None
    questions: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """One model, task, method and seed.

    Attributes:
        model, task, method: names, as a table shows them.
        seed: of the run; None where it isn't known.
        role: what the method is there for.
        metric: whose values ``scores`` are, with its filter: ``exact_match,number``.
        higher_is_better: of the metric.
        scores: question → the metric, in its own unit, a mean where there are several responses.
            A key is the same question in every outcome of a task, whatever the documents' order.
        weighting: what counts the same in the figure of all: every question, or, in some groups,
            every task, which is what comes before the last ``:`` of a question's key.
        aggregate: in place of ``scores``, where only the figure of all questions is known. Such
            an outcome is shown, and never compared question by question.
        cost: what it took.
        settings: what the run was made with, as far as it is known; plain values.
        conditions: what would make it another test, were it different in another row: name →
            value.
        folder: where its files are.
        error: why there are no scores, of a run that failed.
        notes: what a reader of its figures has to know, each a clause that follows its name; the
            same words for the same thing.
    """

    model: str
    task: str
    method: str
    seed: int | None = None
    role: Role = "method"
    metric: str = ""
    higher_is_better: bool = True
    scores: Mapping[str, float] = field(default_factory=dict)
    weighting: Weighting = "questions"
    aggregate: Aggregate | None = None
    cost: Cost = field(default_factory=Cost)
    settings: Mapping[str, object] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    error: str | None = None
    notes: Sequence[str] = ()
