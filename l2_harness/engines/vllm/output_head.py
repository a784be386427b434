"""From a state after the last decoder layer to next-token log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from l2_harness.engines.final_norm import find_final_norm


class OutputHead:
    """The final norm, and the head with whatever the model does to its result.

    Args:
        model: vLLM's, as the runner holds it.
        layers: its decoder layers.

    Raises:
        ConfigError: its final norm is not found.
    """

    def __init__(self, model: Any, layers: Sequence[nn.Module]) -> None:
        self._model, self._norm = model, find_final_norm(model, layers)

    def log_probs(self, states: Tensor) -> Tensor:
        """(m, vocabulary) float32, of states (m, d)."""
        logits: Tensor = self._model.compute_logits(self._norm(states))
        return logits.float().log_softmax(-1)
