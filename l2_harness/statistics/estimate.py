"""A figure with its interval: what every analysis and comparison states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; nan where it can't be computed.

    Attributes:
        value: the statistic of the responses as they are.
        low: lower end of the interval.
        high: upper end of the interval.
        responses: how many responses it is of.
        questions: how many questions these belong to.
    """

    value: float
    low: float
    high: float
    responses: int
    questions: int

    @property
    def known(self) -> bool:
        """Whether the figure and its interval could be computed."""
        return bool(np.isfinite([self.value, self.low, self.high]).all())

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.known and (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "not defined"
        if not self.known:
            return f"{self.value:+.2f} (no interval)"
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"
