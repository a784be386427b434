"""What an engine hands over of a response that is complete, whichever engine it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.engines.response_end import FinishReason
from l2_harness.interventions import ResponseReport
from l2_harness.norms.rows import ResponseRows


@dataclass(frozen=True, eq=False)
class FinishedResponse:
    """A response that an engine has decoded.

    Attributes:
        prompt_tokens: how many tokens its prompt has.
        tokens: the T ids, the last being the one that ended it.
        finish_reason: eos, stop or length.
        rows: its T recorded rows, None where nothing is recorded.
        report: what the interventions did to it, None where there are none. It may be of more
            rows than T, where the engine ran a step too many.
        text: what lm-eval gets of it, where the engine has made that itself; None where the
            tokens tell.
        broken: whether it was cut off at its last row because the logits there are no numbers;
            the token of that row says nothing.
        broken_norms: the monitored layers' norms there, (layers,), where that row is not recorded
            but they are known.
    """

    prompt_tokens: int
    tokens: Sequence[int]
    finish_reason: FinishReason
    rows: ResponseRows | None = None
    report: ResponseReport | None = None
    text: str | None = None
    broken: bool = False
    broken_norms: np.ndarray | None = None
