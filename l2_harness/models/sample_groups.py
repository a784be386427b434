"""Which sampled responses are chosen among, and when all of them are there."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from lm_eval.api.instance import Instance

from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.models.response_jobs import WantedResponse
from l2_harness.norms import CompletedResponse
from l2_harness.norms.rows import ResponseRows


@dataclass(eq=False)
class Sample:
    """A response that is there, on its way to lm-eval and to the trace files.

    Attributes:
        wanted: which response it is.
        text: what lm-eval gets, if it is chosen.
        n_tokens: how many tokens it has.
        finish_reason: eos, stop or length.
        thinking_end: row of the token that closes its thinking, or None.
        rows: what was recorded of it, or None.
        finished: as an engine handed it over; None where an earlier run left it.
        scores: name → value.
        answer: its own; None where it has none, or was cut off before it.
        voted_as: what a vote takes it for, once its group is complete.
        chosen: whether lm-eval gets it; None where that is not known.
        written: whether a trace part holds it already.
    """

    wanted: WantedResponse
    text: str
    n_tokens: int
    finish_reason: str | None
    thinking_end: int | None
    rows: ResponseRows | None = None
    finished: FinishedResponse | None = None
    scores: dict[str, float] = field(default_factory=dict)
    answer: str | None = None
    voted_as: str | None = None
    chosen: bool | None = None
    written: bool = False

    @property
    def broken(self) -> bool:
        """Whether it was cut off where its logits are no numbers."""
        return self.finished is not None and self.finished.broken

    @property
    def recalled(self) -> bool:
        """Whether an earlier run left it."""
        return self.finished is None

    @classmethod
    def decoded(
        cls, wanted: WantedResponse, finished: FinishedResponse, text: str, thinking_end: int | None
    ) -> Sample:
        """One that an engine has decoded."""
        return cls(
            wanted,
            text,
            len(finished.tokens),
            finished.finish_reason,
            thinking_end,
            finished.rows,
            finished,
        )

    @classmethod
    def left(cls, wanted: WantedResponse, found: CompletedResponse) -> Sample:
        """One that an earlier run left."""
        return cls(
            wanted,
            found.response or "",
            len(found.tokens),
            found.finish_reason,
            found.thinking_end,
            scores=found.scores,
            answer=found.answer,
            chosen=found.chosen,
            written=True,
        )


class SampleGroups:
    """The responses of a call by group: those to one prompt that are scored together.

    Where one of several samples is chosen, the samples of a request are a group. With one sample a
    request, lm-eval's repeats of it are: its filters choose among them. All others are alone, and
    so is a request that lm-eval added to even out its processes.

    Args:
        wanted: every response of the call.
        requests: of the call.
        num_samples: responses a request.
        choosing: whether one of them is chosen.
    """

    def __init__(
        self,
        wanted: Sequence[WantedResponse],
        requests: Sequence[Instance],
        num_samples: int,
        choosing: bool,
    ) -> None:
        self._requests, self._num_samples, self._choosing = requests, num_samples, choosing
        self._sizes: dict[Hashable, int] = {}
        for response in wanted:
            key = self._key(response)
            self._sizes[key] = self._sizes.get(key, 0) + 1
        self._there: dict[Hashable, list[Sample]] = {}

    def add(self, sample: Sample) -> list[Sample] | None:
        """Take a response; its group, in the order of repeats and samples, if it is complete."""
        key = self._key(sample.wanted)
        there = self._there.setdefault(key, [])
        there.append(sample)
        if len(there) < self._sizes[key]:
            return None
        del self._there[key]
        return sorted(there, key=lambda one: one.wanted.stream)

    def unwritten(self) -> list[Sample]:
        """Responses of incomplete groups that no trace part holds yet."""
        return [s for group in self._there.values() for s in group if not s.written]

    def size(self, sample: Sample) -> int:
        """How many responses the group of a sample has when it is complete."""
        return self._sizes[self._key(sample.wanted)]

    def by_group(self, samples: Sequence[Sample]) -> list[tuple[list[Sample], bool]]:
        """``samples`` by group, and whether each group is complete with them."""
        found: dict[Hashable, list[Sample]] = {}
        for sample in samples:
            found.setdefault(self._key(sample.wanted), []).append(sample)
        return [(group, len(group) == self._sizes[key]) for key, group in found.items()]

    def _key(self, response: WantedResponse) -> Hashable:
        if self._choosing:
            return ("request", response.request)
        if self._num_samples > 1 or response.key is None:
            return ("alone", response.request, response.sample)
        return ("repeats", id(self._requests[response.request]))
