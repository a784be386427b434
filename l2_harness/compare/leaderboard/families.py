"""Which differences are tested, and which of them are corrected together.

A model and a task make two families, and so does a model's average over tasks: every method,
control and rival against plain, with what a suite claims of one method over another; and all other
pairs, which only decide who shares a place. Null rows are tested against plain on their own: they
are what a difference is to be measured by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from l2_harness.lm_eval_files.outcomes import Role
from l2_harness.statistics.paired import Difference, Paired


@dataclass(frozen=True, eq=False)
class Families:
    """All differences of a board.

    Attributes:
        to_plain: method → it minus plain, corrected over these and ``claimed``; empty without a
            plain.
        claimed: (first, second) → first minus second, of claims that are not about plain.
        nulls: null row → it minus plain, each on its own.
        others: the remaining pairs, corrected over these.
    """

    to_plain: Mapping[str, Difference]
    claimed: Mapping[tuple[str, str], Difference]
    nulls: Mapping[str, Difference]
    others: Mapping[frozenset[str], Difference]
    plain: str | None

    def differ(self, first: str, second: str) -> bool:
        """Whether the corrected difference of two methods leaves out 0."""
        pair = frozenset((first, second))
        if pair in self.others:
            return self.others[pair].excludes_zero
        return self.to_plain[second if first == self.plain else first].excludes_zero

    def of(self, method: str) -> Difference | None:
        """It minus plain."""
        return self.to_plain.get(method) or self.nulls.get(method)

    @property
    def size(self) -> int:
        """Comparisons that verdicts are corrected for."""
        return len(self.to_plain) + len(self.claimed)


def families(
    paired: Paired,
    methods: Sequence[str],
    roles: Mapping[str, Role],
    plain: str | None,
    claims: Sequence[tuple[str, str]] = (),
) -> Families:
    """Test everything on a board.

    Args:
        paired: columns in the order of ``methods``.
        methods: with scores.
        roles: of each.
        plain: which of them; None where it has no scores.
        claims: pairs of methods with scores, none of them with plain.
    """
    column = {method: i for i, method in enumerate(methods)}
    rivals = [m for m in methods if m != plain and roles[m] != "null"] if plain else []
    nulls = [m for m in methods if roles[m] == "null"] if plain else []
    pairs = [
        pair for pair in combinations(methods, 2) if not (plain in pair and set(pair) & {*rivals})
    ]

    def tested(family: Sequence[tuple[str, str | None]]) -> list[Difference]:
        return paired.differences([(column[a], column[b]) for a, b in family if b is not None])

    against = [(m, plain) for m in rivals]
    found = tested([*against, *claims])
    return Families(
        to_plain=dict(zip(rivals, found, strict=False)),
        claimed=dict(zip(claims, found[len(rivals) :], strict=True)),
        nulls={m: tested([(m, plain)])[0] for m in nulls},
        others=dict(zip(map(frozenset, pairs), tested(pairs), strict=True)),
        plain=plain,
    )
