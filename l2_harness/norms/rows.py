"""The recorded rows of one response: what every engine hands on, whatever made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ResponseRows:
    """T rows for T response tokens; row t is the forward pass that predicted token t.

    Attributes:
        norms: (T, layers) float32.
        logprob: (T,) float32, of the response's own token, in nats, at temperature 1.
        entropy, self_certainty: (T,) float32, of the row's next-token distribution, in nats.
        confidence: (T,) float32, the mean surprisal of the row's likeliest tokens, in nats; None
            where it was not computed.
        scores: numbers of the whole response that need more of the states than these rows.
    """

    norms: np.ndarray
    logprob: np.ndarray
    entropy: np.ndarray
    self_certainty: np.ndarray
    confidence: np.ndarray | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
