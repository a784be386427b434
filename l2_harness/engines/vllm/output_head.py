"""From a state after the last decoder layer to next-token log-probabilities."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from l2_harness.config import ConfigError

_BASES = ("model", "transformer", "language_model.model", "gpt_neox", "model.decoder", "backbone")
_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f")


class OutputHead:
    """The final norm, and the head with whatever the model does to its result.

    Args:
        model: vLLM's, as the runner holds it.

    Raises:
        ConfigError: its final norm is not found.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._norm = model, _final_norm(model)

    def log_probs(self, states: Tensor) -> Tensor:
        """(m, vocabulary) float32, of states (m, d)."""
        logits: Tensor = self._model.compute_logits(self._norm(states))
        return logits.float().log_softmax(-1)


def _final_norm(model: Any) -> nn.Module:
    modules = dict(model.named_modules())
    for base in _BASES:
        for name in _FINAL_NORMS:
            if f"{base}.{name}" in modules:
                return modules[f"{base}.{name}"]
    raise ConfigError(
        f"recursion=entropy needs the final norm of vLLM's {type(model).__name__}, and none of "
        f"{', '.join(_FINAL_NORMS)} is there. Pass recursion=norm or recursion=off."
    )
