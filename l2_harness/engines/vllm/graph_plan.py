"""What is built into a model before vLLM compiles it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: Key of our entry in vLLM's ``additional_config``, which is part of its compile cache's key.
CONFIG_KEY = "l2_harness"
#: Key of the ``loop_*`` arguments there.
LOOP_KEY = "l2_harness_loop"


@dataclass(frozen=True)
class GraphPlan:
    """The layers at which a model is watched; everything else is decided while it runs.

    Attributes:
        norms: layers whose norms are recorded, in the order of the recorded columns.
        visits: layers after which the compiled model makes a stop, so that their states can be
            read and changed; −1 is the stop before the first layer.
    """

    norms: tuple[int, ...] = ()
    visits: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, norms: Sequence[int], edits: Sequence[int], reruns: Sequence[int] = ()
    ) -> GraphPlan:
        """For layers that are recorded, edited, and run again.

        A layer that is run again is tried out on its own input first, which is the state at the
        stop before it.
        """
        return cls(tuple(norms), tuple(sorted({*edits, *reruns, *(i - 1 for i in reruns)})))

    @classmethod
    def read(cls, additional_config: Mapping[str, Any]) -> GraphPlan:
        """The plan that a worker finds in its configuration."""
        found = additional_config[CONFIG_KEY]
        return cls(tuple(found["norms"]), tuple(found["visits"]))

    def as_dict(self) -> dict[str, Any]:
        """For ``additional_config``."""
        return asdict(self)

    def serves(self, other: GraphPlan) -> bool:
        """Whether a model that was compiled with this plan does what another one needs."""
        return self.norms == other.norms and set(other.visits) <= set(self.visits)

    def and_also(self, other: GraphPlan) -> GraphPlan:
        """This one, with the stops of another one."""
        return GraphPlan(self.norms, tuple(sorted({*self.visits, *other.visits})))
