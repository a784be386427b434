"""Statistics of one next-token distribution, one row a response token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DistributionStatistics:
    """What is kept of the logits: ``log_probs`` only until the row's token is known.

    Attributes:
        log_probs: (rows, vocabulary) float32, natural logarithms of the softmax at
            temperature 1, whatever the sampling settings.
        entropy: (rows,) in nats.
        self_certainty: (rows,) in nats, the divergence of the uniform distribution from
            the model's: ``-mean_j log(V p_j)``, 0 for a flat distribution and larger for
            a peaked one (Kang et al., arXiv 2502.18581, equation 6).
    """

    log_probs: Tensor
    entropy: Tensor
    self_certainty: Tensor

    def of_tokens(self, tokens: Tensor) -> Tensor:
        """(rows,) the log-probability of each row's token, tokens: (rows,) int64."""
        return self.log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def distribution_statistics(logits: Tensor) -> DistributionStatistics:
    """Statistics of the softmax of ``logits``: (rows, vocabulary), any float type.

    Tokens that the model masks with a logit of −inf are no part of the distribution: they
    count neither in the entropy nor in self-certainty's mean or V.
    """
    log_probs = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
    possible = log_probs > -torch.inf
    finite = torch.where(possible, log_probs, 0.0)
    size = possible.sum(-1)
    entropy = -(log_probs.exp() * finite).sum(-1)
    self_certainty = -(finite.sum(-1) / size + size.log())
    return DistributionStatistics(log_probs, entropy, self_certainty)
