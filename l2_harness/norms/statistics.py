"""Statistics of one next-token distribution, one row a response token."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from l2_harness.norms.signals import SIGNALS

#: Of how many tokens DeepConf's token confidence is a mean, in its paper and its code.
CONFIDENCE_TOKENS = 20


@dataclass(frozen=True)
class DistributionStatistics:
    """What is kept of the logits, whose softmax is at temperature 1 whatever the sampling.

    Attributes:
        log_probs: (rows, vocabulary) float32, log-probabilities up to ``offset``.
        offset: (rows, 1) float32, to be added to them.
        entropy: (rows,) in nats.
        self_certainty: (rows,) in nats, the divergence of the uniform distribution from
            the model's: ``-mean_j log(V p_j)``, 0 for a flat distribution and larger for
            a peaked one (Kang et al., arXiv 2502.18581, equation 6).
        all_possible: whether it is known that the model masks no token.
    """

    log_probs: Tensor
    offset: Tensor
    entropy: Tensor
    self_certainty: Tensor
    all_possible: bool = False

    def of_tokens(self, tokens: Tensor) -> Tensor:
        """(rows,) the log-probability of each row's token, tokens: (rows,) int64."""
        return (self.log_probs.gather(-1, tokens.unsqueeze(-1)) + self.offset).squeeze(-1)

    def confidence(self, k: int = CONFIDENCE_TOKENS) -> Tensor:
        """(rows,) in nats, minus the mean log-probability of the ``k`` likeliest tokens.

        Larger where the distribution is more peaked, since the other likely tokens are then
        unlikely (Fu et al., arXiv 2508.15260, equation 2). Tokens that the model masks count
        for nothing: of a row with fewer than ``k`` others, the mean is over those.
        """
        top = self.log_probs.topk(min(k, self.log_probs.shape[-1]), -1).values + self.offset
        if self.all_possible:
            return -top.sum(-1) / top.shape[-1]
        possible = top > -torch.inf
        return -torch.where(possible, top, 0.0).sum(-1) / possible.sum(-1)

    def signals(self, tokens: Tensor) -> Tensor:
        """(signals, rows) float32, every declared signal of these rows, tokens: (rows,) int64."""
        return torch.stack([signal.measure(self, tokens).float() for signal in SIGNALS])


def distribution_statistics(logits: Tensor) -> DistributionStatistics:
    """Statistics of the softmax of ``logits``: (rows, vocabulary), any float type.

    Tokens that the model masks with a logit of −inf are no part of the distribution: they
    count neither in the entropy nor in self-certainty's mean or V.
    """
    logits = logits.float()
    # below the largest logit lies everything: no cancellation where one token has it all
    shifted = logits - logits.amax(-1, keepdim=True)
    probs = shifted.softmax(-1)
    offset = probs.amax(-1, keepdim=True).log()
    mean, size = shifted.mean(-1), math.log(shifted.shape[-1])
    # elsewhere the host would wait for the answer, which takes longer than the masks
    if logits.device.type == "cpu" and bool(torch.isfinite(mean).all()):
        expected = (probs * shifted).sum(-1)
        return DistributionStatistics(
            shifted, offset, -expected - offset[:, 0], -mean - offset[:, 0] - size, True
        )
    possible = shifted > -torch.inf
    finite = torch.where(possible, shifted, 0.0)
    n_possible = possible.sum(-1)
    expected = (probs * finite).sum(-1)
    mean = finite.sum(-1) / n_possible
    return DistributionStatistics(
        shifted, offset, -expected - offset[:, 0], -mean - offset[:, 0] - n_possible.log()
    )
