"""A suite's cells dealt out to several runs, which know nothing of one another."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from l2_harness.config.errors import ConfigError

if TYPE_CHECKING:
    from l2_harness.compare.plan import PlannedCell


@dataclass(frozen=True)
class Shard:
    """The share of one of several runs.

    Attributes:
        number: which one, from 1.
        of: how many there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def read(cls, text: str) -> Shard:
        """From ``i/n``.

        Raises:
            ConfigError: it is none, or there is no such one.
        """
        found = re.fullmatch(r"(-?\d{1,9})/(-?\d{1,9})", text.strip())
        if found is None:
            raise ConfigError(f"--shard={text!r} is no i/n, such as 2/8 for the second of 8 runs.")
        number, of = map(int, found.groups())
        if of < 1:
            raise ConfigError(f"--shard={text}: a suite is dealt out to 1 run or more, not {of}.")
        if not 1 <= number <= of:
            raise ConfigError(f"--shard={text}: runs are counted from 1/{of} to {of}/{of}.")
        return cls(number, of)

    def of_cells(self, cells: Sequence[PlannedCell]) -> list[PlannedCell]:
        """This run's share of all of a suite's cells, in their order.

        What needs the same samples, or the edits of another cell, stays together. The largest
        groups, by the responses that they draw for a question, are dealt out first, each to the
        run that has least to do; so every run finds the same shares, whatever has run already.
        """
        needs = {p.cell.name: p.source or p.matched for p in cells}
        groups: dict[str, list[PlannedCell]] = defaultdict(list)
        for planned in cells:
            groups[_root(planned.cell.name, needs)].append(planned)
        load = [0] * self.of
        own: list[PlannedCell] = []
        for group in sorted(groups.values(), key=_responses, reverse=True):
            least = load.index(min(load))
            load[least] += _responses(group)
            if least == self.number - 1:
                own += group
        return [planned for planned in cells if planned in own]


WHOLE = Shard()


def _root(name: str, needs: Mapping[str, PlannedCell | None]) -> str:
    """The cell that a cell needs, or that one in turn; itself where it needs none."""
    needed = needs.get(name)
    return name if needed is None else _root(needed.cell.name, needs)


def _responses(group: Sequence[PlannedCell]) -> int:
    """How many are drawn for a question."""
    drawing = {(planned.source or planned).cell.name: planned for planned in group}
    return sum((p.source or p).cell.num_samples for p in drawing.values())
