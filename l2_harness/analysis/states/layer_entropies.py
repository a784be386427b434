"""Entropies of one layer at its rows: of its states, through the output head, of its attention.

The paper (arXiv 2606.06188) correlates a layer's hidden, output and attention entropy with
reasoning features. Its definitions are not known; these are this project's, all in nats:

- hidden: of the shares p_j = h_j²/‖h‖² of a state's components, −Σ p ln p; at most ln d.
- output: of the next-token distribution that the final norm and the head make of the layer's
  state, as if it were the last one (the logit lens).
- attention: of the weights with which a row attends to the positions before it and to itself, a
  head's −Σ w ln w, meaned over heads. Weights that add up to less than 1 (sinks) are scaled to 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from l2_harness.config.errors import ConfigError
from l2_harness.engines.hf.output_head import OutputHead
from l2_harness.norms.statistics import distribution_statistics

#: Rows whose distributions are held at once.
_BLOCK = 256


def hidden_entropy(states: Tensor) -> Tensor:
    """(n,) float32 of states (n, d); nan of a state of zeros."""
    shares = states.float().square()
    shares = shares / shares.sum(-1, keepdim=True)
    return torch.special.entr(shares).sum(-1)


def lens_entropy(head: OutputHead, states: Tensor) -> Tensor:
    """(n,) float32 of states (n, d), through the output head."""
    parts = [distribution_statistics(head.logits(part)).entropy for part in states.split(_BLOCK)]
    return torch.cat(parts).float()


def attention_entropy(weights: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
    """(n,) float32 at rows and positions (n,) of weights (rows, heads, positions, keys)."""
    own = weights[rows.to(weights.device), :, positions.to(weights.device)].float()
    own = own / own.sum(-1, keepdim=True)
    return torch.special.entr(own).sum(-1).mean(-1)


class AttentionWatch:
    """The attention weights of a layer's latest call.

    Args:
        layer: a decoder layer of a model with eager attention.
    """

    def __init__(self, layer: nn.Module) -> None:
        self._weights: Tensor | None = None
        self._handles = [
            module.register_forward_hook(self._look)
            for module in layer.modules()
            if module != layer
        ]

    def take(self) -> Tensor | None:
        """(rows, heads, positions, keys), None where the layer has no such weights."""
        weights, self._weights = self._weights, None
        return weights

    def remove(self) -> None:
        """Look no further."""
        for handle in self._handles:
            handle.remove()

    def _look(self, module: nn.Module, args: Any, output: Any) -> None:
        if not (isinstance(output, tuple) and len(output) > 1):
            return
        found = output[1]
        if isinstance(found, Tensor) and found.ndim == 4 and found.shape[2] <= found.shape[3]:
            self._weights = found


def use_eager_attention(causal_lm: Any) -> None:
    """Let the model's attention give its weights.

    Raises:
        ConfigError: a model that cannot.
    """
    try:
        causal_lm.set_attn_implementation("eager")
    except Exception as error:  # whatever a model's own code raises is the reason
        raise ConfigError(
            f"--entropies needs eager attention, which {type(causal_lm).__name__} does not have "
            f"({error}). Leave --entropies out."
        ) from error
