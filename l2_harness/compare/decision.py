"""What a suite is run to decide, which is fixed before its first response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass
from typing import Any

from l2_harness.compare.marked_yaml import Entry, read_scalar
from l2_harness.config.numbers import number
from l2_harness.config.options import option, option_names, read_options, text


@dataclass(frozen=True, kw_only=True)
class Claim:
    """That one method is better than another.

    Attributes:
        place: where it was written.
    """

    says: str = option(MISSING, read_scalar(text("a sentence")), "the claim in a sentence")
    method: str = option(MISSING, read_scalar(text("a method")), "which is claimed to be better")
    over: str | None = option(
        None, read_scalar(text("a method")), "than which; by default the plain one"
    )
    place: Any = None


def _claims(name: str, entry: Entry) -> tuple[Claim, ...]:
    found = []
    for one in entry.sequence(name):
        keys = one.allow("a claim", option_names(Claim))
        for needed in ("says", "method"):
            if needed not in keys:
                raise one.error(f"a claim has {needed!r}: {{says: A helps, method: a, over: b}}.")
        found.append(read_options(Claim, keys, place=one))
    return tuple(found)


@dataclass(frozen=True)
class Decision:
    """How verdicts are reached."""

    margin: float = option(
        2.0,
        read_scalar(number(0.0, above=True)),
        "points within which a difference counts as none",
    )
    claims: tuple[Claim, ...] = option((), _claims, "what is to be decided")

    def pairs(self, plain: str | None, known: Callable[[str], bool]) -> list[tuple[str, str]]:
        """Of claims that are not about plain, and whose methods are there."""
        pairs = [(c.method, c.over) for c in self.claims if c.over not in (None, plain)]
        found = [(a, b) for a, b in pairs if b is not None and known(a) and known(b)]
        return list(dict.fromkeys(found))


def read_decision(name: str, entry: Entry) -> Decision | None:
    """The ``decision`` of a suite."""
    if entry.value is None:
        return None
    return read_options(Decision, entry.allow(name, option_names(Decision)))
