"""Ways of doing the same work, compared by what they took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l2_harness.bench.figure import Figure


@dataclass(frozen=True)
class TimedWays:
    """Seconds of every round by way, what is to be seen of them, and where they went."""

    settings: dict[str, Any]
    times: dict[str, list[float]]
    figures: list[Figure]
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What was run and how long it took, ready for JSON."""
        return {"settings": self.settings, "times": self.times, "parts": self.parts}


def seconds_a_token(
    times: Mapping[str, Sequence[float]],
    responses: Mapping[str, Sequence[str]],
    encode: Callable[[str], Sequence[int]],
) -> dict[str, list[float]]:
    """Of every round by way: ways make responses of other lengths.

    Args:
        times: seconds of every round by way.
        responses: what one round of each way gave; each ended with a token that has no text.
        encode: of the tokenizer.
    """
    lengths = {name: sum(len(encode(text)) + 1 for text in own) for name, own in responses.items()}
    return {name: [t / lengths[name] for t in seconds] for name, seconds in times.items()}
