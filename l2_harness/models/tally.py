"""What an evaluation came to so far, in numbers that add up over processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from l2_harness.interventions import InterventionTotals
from l2_harness.norms.summary import NormSummary


@dataclass
class Votes:
    """Questions with several samples, by what a vote over their answers rests on.

    Attributes:
        questions: all of them.
        read_as_whole: no sample had an answer, and cut-off ones were read as if they had ended.
        unanswered: no sample has an answer, however it is read.
    """

    questions: int = 0
    read_as_whole: int = 0
    unanswered: int = 0

    @classmethod
    def merged(cls, votes: Iterable[Votes]) -> Votes:
        """Those of several processes."""
        columns = zip(*((v.questions, v.read_as_whole, v.unanswered) for v in votes), strict=True)
        return cls(*map(sum, columns))


@dataclass
class Tally:
    """What an evaluation came to, in one process or, merged, in all of them.

    Attributes:
        norms: sums of the recorded norms, None where nothing is recorded.
        interventions: sums of their counters.
        lengths: tokens of each generated response.
        recalled: how many of the responses an earlier run left.
        votes: what votes rest on.
        broken: responses and scores whose logits were not finite.
        numbers: whether any had finite ones.
    """

    norms: NormSummary | None = None
    interventions: InterventionTotals = field(default_factory=InterventionTotals)
    lengths: list[int] = field(default_factory=list)
    recalled: int = 0
    votes: Votes = field(default_factory=Votes)
    broken: int = 0
    numbers: bool = False

    @property
    def only_broken(self) -> bool:
        """Whether nothing that came so far has a number."""
        return self.broken > 0 and not self.numbers

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
            Votes.merged(tally.votes for tally in tallies),
            sum(tally.broken for tally in tallies),
            any(tally.numbers for tally in tallies),
        )
