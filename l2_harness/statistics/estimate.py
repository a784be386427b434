"""A figure with its interval: what every analysis and comparison states."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


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

    def times(self, unit: float) -> Estimate:
        """In another unit, such as points."""
        return replace(self, value=unit * self.value, low=unit * self.low, high=unit * self.high)

    def columns(self, name: str) -> dict[str, float]:
        """As a table's ``name``, ``name_low`` and ``name_high``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "not defined"
        if not self.known:
            return f"{self.value:+.2f} (no interval)"
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


UNKNOWN = Estimate(np.nan, np.nan, np.nan, 0, 0)


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates with their intervals, arrays of one shape; nan where one is not defined.

    Attributes:
        value, low, high: as an :class:`Estimate` has.
        p: two-sided, of the value that means nothing is there.
    """

    value: Floats
    low: Floats
    high: Floats
    p: Floats

    def columns(self, name: str) -> dict[str, Floats]:
        """As a table's ``name``, ``name_low`` and ``name_high``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def part(self, index: int) -> Estimates:
        """Of one place of the first dimension."""
        return Estimates(self.value[index], self.low[index], self.high[index], self.p[index])

    def transposed(self) -> Estimates:
        """Of (a, b) all of each b, one after the other: (b · a,)."""
        return Estimates(*(one.T.ravel() for one in (self.value, self.low, self.high, self.p)))

    def each(self, responses: ArrayLike, questions: ArrayLike) -> list[Estimate]:
        """One by one, of (m,) or of a single one."""
        return estimates(self.value, self.low, self.high, responses, questions)


def estimates(
    value: ArrayLike, low: ArrayLike, high: ArrayLike, responses: ArrayLike, questions: ArrayLike
) -> list[Estimate]:
    """One a figure, of arrays (m,) or of what is the same for all."""
    columns = np.broadcast_arrays(*map(np.atleast_1d, (value, low, high, responses, questions)))
    return [
        Estimate(float(a), float(b), float(c), int(n), int(q))
        for a, b, c, n, q in zip(*columns, strict=True)
    ]
