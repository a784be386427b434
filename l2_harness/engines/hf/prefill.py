"""What a forward pass gave, and prompts that have gone through one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor
from transformers import LogitsProcessorList

from l2_harness.engines.hf.batch_state import PassInputs
from l2_harness.interventions import Response


@dataclass(frozen=True, eq=False)
class ResponseSpec:
    """A response that is wanted.

    Attributes:
        prompt: which of its group's prompts it answers.
        uniforms: (max_tokens,) float64, its own random numbers; None for greedy decoding.
        response: what the interventions know of it; None where there are none.
    """

    prompt: int
    uniforms: np.ndarray | None = None
    response: Response | None = None


class PromptGroup(NamedTuple):
    """Prompts that are prefilled together.

    Attributes:
        wanted: the responses to them; those of one prompt side by side.
        generate: calls ``generate`` on the prompts, with what it is given as its
            ``custom_generate``.
    """

    wanted: Sequence[ResponseSpec]
    generate: Callable[[Callable[..., None]], object]


class PassOutput(NamedTuple):
    """What a forward pass gave: logits (rows, vocabulary), norms (layers, rows) or None.

    ``states`` (layers, rows, d) is there where Chain-of-Embedding needs it.
    """

    logits: Tensor
    norms: Tensor | None
    states: Tensor | None = None

    def of(self, rows: Tensor) -> PassOutput:
        """The same for other rows: (n,) int64 on the CPU, of which several may be one."""
        logits = self.logits[rows.to(self.logits.device)]
        if self.norms is None:
            return PassOutput(logits, None)
        index = rows.to(self.norms.device)
        states = None if self.states is None else self.states[:, index]
        return PassOutput(logits, self.norms[:, index], states)


@dataclass(eq=False)
class Prefill:
    """Prompts that have gone through the model.

    Attributes:
        ids, mask: (prompts, columns), padded on the left.
        processors: of ``generate``, a row a prompt.
        inputs: of the pass that would follow.
        output: what the pass gave, for the first tokens.
        waiting: the numbers of the responses that have not begun.
    """

    ids: Tensor
    mask: Tensor
    processors: LogitsProcessorList
    inputs: PassInputs
    output: PassOutput
    waiting: Sequence[int] = ()

    def lengths(self) -> list[int]:
        """Tokens of each prompt."""
        counted: list[int] = self.mask.sum(-1).tolist()
        return counted
