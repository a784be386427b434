"""``l2vllm``: lm-eval's vLLM model with the norms of its hidden states recorded."""

from __future__ import annotations

from l2_harness.models.vllm.generation import GenerationLM
from l2_harness.models.vllm.scoring import ScoringLM


class L2VLLM(GenerationLM, ScoringLM):
    """VLLM whose forward passes are watched, inside its compiled graphs.

    See :class:`~l2_harness.models.vllm.base.VllmBase` for the arguments.
    """
