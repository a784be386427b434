"""``l2hf``: lm-eval's Hugging Face model with the norms of its hidden states recorded."""

from __future__ import annotations

from l2_harness.models.hf.generation import GenerationLM
from l2_harness.models.hf.scoring import ScoringLM


class L2HF(GenerationLM, ScoringLM):
    """HFLM whose forward passes are watched and whose responses come from our own loop.

    Greedy responses and scores stay HFLM's own. See :class:`~l2_harness.models.hf.base.HFBase`
    for the arguments.
    """
