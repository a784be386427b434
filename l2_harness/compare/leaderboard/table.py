"""What a leaderboard is: boards of rows, before any of it becomes words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from l2_harness.compare.decision import Decision
from l2_harness.compare.leaderboard.costs import RowCost
from l2_harness.compare.leaderboard.options import Options
from l2_harness.lm_eval_files.outcomes import Role
from l2_harness.statistics.estimate import Estimate
from l2_harness.statistics.paired import Difference
from l2_harness.statistics.verdicts import Verdict as Decided

Verdict = Literal[
    "plain",
    "null",
    "better",
    "worse",
    "equivalent",
    "abstain",
    "not shown",
    "not compared",
    "failed",
]
"""Of a difference those of :mod:`~l2_harness.statistics.verdicts`, where a margin was fixed; else
``not shown``: the corrected interval includes 0, which is no proof of equality. ``not compared``:
there is nothing to compare with, question by question."""


@dataclass(frozen=True)
class SeedSpread:
    """Scores of single seeds.

    Attributes:
        seeds: how many there are.
        sd: their standard deviation, with seeds − 1.
        low, high: the smallest and the largest.
        within: variance of a question's score over seeds, mean over the questions.
    """

    seeds: int
    sd: float
    low: float
    high: float
    within: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """A method on a task.

    Attributes:
        score: mean over the questions that all methods have, with its interval at the options'
            level; of an unpaired row, the figure as it was reported.
        rank: 1 for the best; equal in a group of ties, whose members all share its first place.
            None for what is not ranked: failed and unpaired rows.
        tied: whether others share the rank.
        seeds: None of a single seed.
        difference: to plain, None where there is none.
        published: others' figure, in its source's unit.
        published_plain: what plain has in that source.
        unpaired: whether only a figure of all its questions is known.
        reason: why it is not compared, where that is the row's own matter.
        errors: of runs that failed; a row may have scores of its other seeds all the same.
        settings: of its first run.
    """

    method: str
    role: Role
    verdict: Verdict
    score: Estimate | None = None
    rank: int | None = None
    tied: bool = False
    seeds: SeedSpread | None = None
    difference: Difference | None = None
    cost: RowCost = field(default_factory=RowCost)
    published: float | None = None
    published_plain: float | None = None
    unpaired: bool = False
    reason: str = ""
    errors: Sequence[str] = ()
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def gains(self) -> dict[str, float | None]:
        """Beside a published gain ours, both as a share of plain's figure in percent too."""
        if self.published is None or not self.published_plain:
            return {}
        theirs = self.published - self.published_plain
        found: dict[str, float | None] = {"published_gain": theirs}
        found["published_gain_percent"] = 100 * theirs / self.published_plain
        if self.difference is not None and self.score is not None:
            plain = self.score.value - self.difference.value
            found["gain_percent"] = 100 * self.difference.value / plain if plain else None
        return found


@dataclass(frozen=True)
class ClaimRow:
    """A claim on a board.

    Attributes:
        says: the claim.
        method, over: whose difference it is about.
        difference: None where one of the two has no scores of single questions.
        verdict: on the difference; None without one.
        changed: states that the method changed in a run; None where it isn't known.
    """

    says: str
    method: str
    over: str
    difference: Difference | None
    verdict: Decided | None
    changed: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Board:
    """One model on one task, or on the average of its tasks.

    Attributes:
        task: its name; ``average`` for the mean of tasks.
        tasks: of an average, which.
        metric: whose values the scores are.
        percent: whether scores are shares of 1, shown as percent and points.
        higher_is_better: of the metric.
        questions: that all methods have.
        rows: best first, then unpaired and failed ones.
        plain: the method that all are compared with; None where it failed or there is none.
        reason: why there is none.
        null: the largest distance of a null row from plain, in the metric's unit.
        family: comparisons that are corrected together: all with plain, and those of claims.
        margin: within which a difference counts as none, in the metric's unit; None where none
            was fixed.
        claims: what the suite claims.
        notes: what a reader has to know.
    """

    model: str
    task: str
    tasks: Sequence[str] = ()
    metric: str = ""
    percent: bool = True
    higher_is_better: bool = True
    questions: int = 0
    rows: Sequence[Row] = ()
    plain: str | None = None
    reason: str = ""
    null: float | None = None
    family: int = 0
    margin: float | None = None
    claims: Sequence[ClaimRow] = ()
    notes: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Model and task, as headings name them."""
        task = f"average of {len(self.tasks)} tasks" if self.tasks else self.task
        return f"{self.model}, {task}" if self.model else task

    @property
    def size(self) -> str:
        """How many questions, in words."""
        if not self.questions:
            return "no scores of single questions"
        return "1 question" if self.questions == 1 else f"{self.questions} questions"

    @property
    def scale(self) -> float:
        """From a score to what is shown of it."""
        return 100.0 if self.percent else 1.0

    @property
    def unit(self) -> str:
        """Of a difference."""
        return "points" if self.percent else "of the metric"


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All boards: a model's average first, then its tasks.

    Attributes:
        boards: by model.
        options: how they were made.
        notes: of the whole.
        decision: how verdicts were to be reached; None where that was not fixed.
    """

    boards: Sequence[Board]
    options: Options
    notes: Sequence[str] = ()
    decision: Decision | None = None
