"""How a leaderboard's intervals and tests are made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What a user may set.

    Attributes:
        level: of all intervals, before correction.
        flips: of the signs; no sign-flip p is below 1 / (flips + 1).
        seed: of the signs.
        detect: the difference that matters, in points: how many questions it would need is said
            where an interval is too wide to tell it.
        power: the chance with which it is to be seen.
    """

    level: float = 0.95
    flips: int = 10_000
    seed: int = 0
    detect: float = 2.0
    power: float = 0.8
