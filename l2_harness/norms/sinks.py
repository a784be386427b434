"""Attention sinks among a prompt's rows: norms that say nothing of the others.

A model's first position, and a few tokens such as a line's end, can have norms a hundred times as
large as all others ("massive activations", arXiv 2402.17762): 25,000 beside 130 to 530 in a Llama
of 30 layers. The rule here: a prompt's first position never enters a threshold, nor do rows of it
whose norm is more than :data:`SINK_FACTOR` times the median of that prompt's other rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Above this many times the median a row of a prompt is a sink.
SINK_FACTOR = 10.0


def without_sinks(norms: Tensor) -> Tensor:
    """The norms of some prompts' rows, sinks left out.

    Args:
        norms: (n, prompts) float32, the first position left out, +inf where there is no row. The
            median is the lower one of an even number.

    Returns:
        The same with +inf in the place of sinks too.
    """
    median = torch.where(norms < torch.inf, norms, torch.nan).nanmedian(dim=0).values
    return torch.where(norms > SINK_FACTOR * median, torch.inf, norms)
