"""One kind of made-up data: how often intervals held the truth, and tests rejected nothing."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

COVERAGE = (0.93, 0.97)
TYPE_ONE = 0.06


@dataclass(frozen=True)
class Coverage:
    """What came of one kind of data at one number of questions.

    Attributes:
        figure: which figure.
        data: which kind of data.
        questions: how many.
        coverage: nan where no truth other than 0 was tried.
        type_one: nan where there is no test.
        runs: data sets each of the two is of.
    """

    figure: str
    data: str
    questions: int
    coverage: float
    type_one: float
    runs: int

    def error(self, share: float) -> float:
        """Monte-Carlo standard error of a share."""
        return math.sqrt(max(share * (1 - share), 1 / self.runs) / self.runs)

    @property
    def meets(self) -> bool:
        """Whether the goal is met, within two Monte-Carlo errors; a coverage above it counts."""
        short = self.coverage + 2 * self.error(self.coverage) < COVERAGE[0]
        return not short and not self.type_one - 2 * self.error(self.type_one) > TYPE_ONE

    def as_dict(self) -> dict[str, Any]:
        """By name; NaN where the kind has no such figure."""
        return {**asdict(self), "meets": self.meets}
