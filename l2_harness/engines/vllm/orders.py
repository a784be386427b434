"""What a worker is told of a request beside its prompt: it travels in ``SamplingParams``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2_harness.engines.vllm.graph_plan import CONFIG_KEY
from l2_harness.interventions import Response
from l2_harness.interventions.edit_plans import RecordedEdits

#: No position is beyond it.
END = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Order:
    """A request to be watched.

    Attributes:
        key: a number of its own.
        first: the position of row 0.
        end: one past the position of the last row that may count; :data:`END` where the response
            is generated.
        tokens: what the rows predict, where that is given (a text that is scored); None where
            it is generated.
        acting: what the interventions know of the response, None where there are none.
        trial: a warm-up request, on which second passes are tried out.
    """

    key: int
    first: int
    end: int = END
    tokens: Sequence[int] | None = None
    acting: Response | None = None
    trial: bool = False

    def as_extra_args(self) -> dict[str, Any]:
        """For ``SamplingParams(extra_args=…)``: numbers, texts, lists."""
        acting = self.acting
        return {
            CONFIG_KEY: {
                "key": self.key,
                "first": self.first,
                "end": self.end,
                "tokens": None if self.tokens is None else list(self.tokens),
                "acting": None if acting is None else _told(acting),
                "trial": self.trial,
            }
        }

    @classmethod
    def read(cls, extra_args: Mapping[str, Any] | None) -> Order | None:
        """The order that a request carries; None where it is none of ours."""
        found = (extra_args or {}).get(CONFIG_KEY)
        if found is None:
            return None
        acting = found["acting"]
        return cls(**{**found, "acting": None if acting is None else _understood(acting)})


def _told(response: Response) -> dict[str, Any]:
    edits = response.recorded
    return {
        # 64 bits without a sign, which not every encoding of numbers holds
        "key": str(response.key),
        "prompt_tokens": response.prompt_tokens,
        "scored": response.scored,
        "n_rows": None if edits is None else edits.n_rows,
        "edits": []
        if edits is None
        else [[name, layer, rows.tolist()] for (name, layer), rows in edits.rows.items()],
    }


def _understood(found: Mapping[str, Any]) -> Response:
    edits = None
    if found["n_rows"] is not None:
        rows = {(name, layer): np.array(own, np.int64) for name, layer, own in found["edits"]}
        edits = RecordedEdits(found["n_rows"], rows)
    return Response(int(found["key"]), found["prompt_tokens"], found["scored"], edits)
