"""The recorded rows of one response: what every engine hands on, whatever made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from l2_harness.norms.signals import HasSignals


@dataclass(frozen=True)
class ResponseRows(HasSignals):
    """T rows for T response tokens; row t is the forward pass that predicted token t.

    Attributes:
        norms: (T, layers) float32.
        signals: name → (T,) float32, of :data:`~l2_harness.norms.signals.SIGNALS`; None, or not
            there, where one was not recorded.
        scores: numbers of the whole response that need more of the states than these rows.
    """

    norms: np.ndarray
    signals: Mapping[str, np.ndarray | None]
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def first_broken(self) -> int | None:
        """The first row whose logits were not finite, None where they were in all."""
        logprob = self.signals.get("logprob")
        if logprob is None:
            return None
        broken = np.flatnonzero(np.isnan(logprob))
        return int(broken[0]) if len(broken) else None

    def cut(self, n: int) -> ResponseRows:
        """The first ``n`` rows."""
        signals = {name: None if own is None else own[:n] for name, own in self.signals.items()}
        return replace(self, norms=self.norms[:n], signals=signals)
