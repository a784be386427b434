"""Signals of tokens, measured for several steps at once: a small step is all overhead."""

from __future__ import annotations

import torch
from torch import Tensor

from l2_harness.norms.statistics import distribution_statistics

#: Logits that wait at most. Large vocabularies go step by step.
_WAITING = 2**19


class StepSignals:
    """Steps whose logits wait to be measured."""

    def __init__(self) -> None:
        self._steps: list[tuple[Tensor, Tensor, list[Tensor]]] = []
        self._size = 0

    def add(self, logits: Tensor, tokens: Tensor, into: list[Tensor]) -> None:
        """One step.

        Args:
            logits: (rows, vocabulary), as the model gave them; not to be changed afterwards.
            tokens: (rows,) int64, the tokens that were chosen.
            into: takes the signals (signals, rows) float32, :meth:`measure` at the latest.
        """
        self._steps.append((logits, tokens, into))
        self._size += logits.numel()
        if self._size >= _WAITING:
            self.measure()

    def measure(self) -> None:
        """All that waits."""
        if not self._steps:
            return
        logits, tokens, taking = zip(*self._steps, strict=True)
        signals = distribution_statistics(torch.cat(logits)).signals(torch.cat(tokens))
        parts = signals.split([len(rows) for rows in tokens], dim=1)
        for into, part in zip(taking, parts, strict=True):
            into.append(part)
        self._steps, self._size = [], 0
