"""From a state after the last decoder layer to next-token log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from l2_harness.engines.final_norm import find_final_norm

#: What some models' forward reads of their base's output besides.
_READ_BESIDE = ("router_logits", "cross_attentions")


class OutputHead:
    """The final norm and whatever the model does with its result: scaling, soft caps, the head.

    Args:
        causal_lm: the module whose output has the logits.
        layers: its decoder layers.

    Raises:
        ConfigError: its final norm is not found.
    """

    def __init__(self, causal_lm: Any, layers: Sequence[nn.Module]) -> None:
        self._causal_lm = causal_lm
        self._norm = find_final_norm(causal_lm, layers)

    def logits(self, states: Tensor) -> Tensor:
        """(m, vocabulary) of states (m, d)."""
        return head_logits(self._causal_lm, self._norm(states.unsqueeze(1)))[:, -1]

    def log_probs(self, states: Tensor) -> Tensor:
        """(m, vocabulary) float32 or float64, of states (m, d)."""
        logits = self.logits(states)
        return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)


def head_logits(causal_lm: Any, last: Tensor) -> Tensor:
    """(m, n, vocabulary) of what the model's base returns, (m, n, d), its final norm included.

    The head, and whatever the model's own forward does to its input and its output.
    """
    output = BaseModelOutputWithPast(last_hidden_state=last)
    for name in _READ_BESIDE:
        setattr(output, name, None)
    # the model's own forward on a base that has just computed these states
    with patch.object(causal_lm.base_model, "forward", lambda *args, **kwargs: output):
        ids = torch.zeros(last.shape[:2], dtype=torch.int64, device=last.device)
        logits: Tensor = causal_lm.forward(input_ids=ids, use_cache=False).logits
    return logits
