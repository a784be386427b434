"""The signals: what is measured of every response row's next-token distribution, declared once.

Engines measure them, traces store each in a column of its name, readers give them back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from l2_harness.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from l2_harness.norms.statistics import DistributionStatistics


@dataclass(frozen=True)
class Signal:
    """One number a row.

    Attributes:
        name: of the column.
        meaning: what it is, and its unit.
        measure: ``measure(statistics, tokens)``: (rows,) of any float type, from the rows'
            distributions and their tokens (rows,) int64.
        related: whether ``analyze`` relates norms to it.
        since: the schema version that has it first.
    """

    name: str
    meaning: str
    measure: Callable[[DistributionStatistics, Tensor], Tensor]
    related: bool = False
    since: int = 1


#: A signal from outside is added to these before a model is made: ``SIGNALS.add(…)``.
SIGNALS: Registry[Signal] = Registry(
    "signal",
    (
        Signal(
            "logprob",
            "natural log-probability of the token, at temperature 1",
            lambda statistics, tokens: statistics.of_tokens(tokens),
            related=True,
        ),
        Signal(
            "entropy",
            "of the distribution that the token came from, in nats",
            lambda statistics, tokens: statistics.entropy,
            related=True,
        ),
        Signal(
            "self_certainty",
            "divergence of the uniform distribution from the token's, in nats",
            lambda statistics, tokens: statistics.self_certainty,
            related=True,
        ),
        Signal(
            "confidence",
            "mean surprisal of the likeliest tokens, in nats",
            lambda statistics, tokens: statistics.confidence(),
            since=2,
        ),
    ),
)


class HasSignals:
    """Base of what holds signals: each is an attribute of its name, too, None where absent."""

    signals: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in SIGNALS and "signals" in self.__dict__:
            return self.signals.get(name)
        raise AttributeError(f"{type(self).__name__} has no {name!r}")
