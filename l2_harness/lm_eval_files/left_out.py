"""What is not compared, and why: said once a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Names of a list that are said; the others are counted.
_MOST = 3


@dataclass(frozen=True)
class LeftOut:
    """Something that is not compared.

    Attributes:
        what: a file, or a task of a run.
        reason: why, and what would change it; the same words for the same reason.
    """

    what: str
    reason: str


def told(left_out: Iterable[LeftOut]) -> list[str]:
    """A sentence a reason."""
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason, []).append(one.what)
    return [f"Left out: {few(what)} ({reason})." for reason, what in by_reason.items()]


def few(names: Sequence[str], most: int = _MOST) -> str:
    """``a, b, c and 5 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
