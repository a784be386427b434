"""What an evaluation came to so far, in numbers that add up over processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from l2_harness.interventions import InterventionTotals
from l2_harness.norms.summary import NormSummary


@dataclass
class Tally:
    """What an evaluation came to, in one process or, merged, in all of them.

    Attributes:
        norms: sums of the recorded norms, None where nothing is recorded.
        interventions: sums of their counters.
        lengths: tokens of each generated response.
        recalled: how many of the responses an earlier run left.
    """

    norms: NormSummary | None = None
    interventions: InterventionTotals = field(default_factory=InterventionTotals)
    lengths: list[int] = field(default_factory=list)
    recalled: int = 0

    @classmethod
    def merged(cls, tallies: Iterable[Tally]) -> Tally:
        """That of several processes that worked on different documents."""
        tallies = list(tallies)
        norms = [tally.norms for tally in tallies if tally.norms is not None]
        return cls(
            NormSummary.merged(norms) if norms else None,
            InterventionTotals.merged(tally.interventions for tally in tallies),
            [length for tally in tallies for length in tally.lengths],
            sum(tally.recalled for tally in tallies),
        )
