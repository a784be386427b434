"""What a comparison of two answers came to."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """The outcomes; only EQUAL scores, and the last two are counted."""

    EQUAL = "equal"
    DIFFERENT = "different"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def unverified(self) -> bool:
        """Whether the comparison failed, so that nothing is known."""
        return self in (Verdict.TIMEOUT, Verdict.ERROR)
