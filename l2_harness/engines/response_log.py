"""The recorded rows of responses that are decoded side by side, and come and go."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from l2_harness.config.selectors import STALT
from l2_harness.engines.state_moves import StateMoves
from l2_harness.engines.state_sums import StateSums
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.step_signals import StepSignals
from l2_harness.selection.chain_of_embedding import chain_of_embedding


@dataclass
class _Stretch:
    """Steps between two changes of the batch."""

    responses: tuple[int, ...]
    norms: list[Tensor] = field(default_factory=list)
    signals: list[Tensor] = field(default_factory=list)


class ResponseLog:
    """Collects a row a response and step, on the device until responses are taken."""

    def __init__(self) -> None:
        self._norms: defaultdict[int, list[np.ndarray]] = defaultdict(list)
        self._signals: defaultdict[int, list[np.ndarray]] = defaultdict(list)
        self._stretches: list[_Stretch] = []
        self._waiting = StepSignals()
        self._state_sums, self._state_moves = StateSums(), StateMoves()

    def add(
        self,
        responses: Sequence[int],
        norms: Tensor,
        logits: Tensor,
        tokens: Tensor,
        states: Tensor | None = None,
    ) -> None:
        """Record one step.

        Args:
            responses: which response each row belongs to.
            norms: (layers, rows) float32.
            logits: (rows, vocabulary), as the model gave them; not to be changed afterwards.
            tokens: (rows,) int64, the tokens that were chosen.
            states: (layers, rows, d), of which Chain-of-Embedding and StALT are made.
        """
        if not self._stretches or self._stretches[-1].responses != tuple(responses):
            self._stretches.append(_Stretch(tuple(responses)))
        self._stretches[-1].norms.append(norms)
        self._waiting.add(logits, tokens, self._stretches[-1].signals)
        if states is not None:
            self._state_sums.add(responses, states)
            self._state_moves.add(responses, states)

    def take(self, responses: Collection[int]) -> dict[int, ResponseRows]:
        """All rows of those of some responses that have any, on the host; they are over."""
        self._read()
        sums, moves = self._state_sums.take(responses), self._state_moves.take(responses)
        rows = {}
        for response in [one for one in responses if one in self._norms]:
            signals = np.concatenate(self._signals.pop(response))
            own = dict(zip(SIGNALS.names, signals.T, strict=True))
            # a sum turns and stretches as the mean does
            scores = {}
            if response in sums:
                scores = chain_of_embedding(sums[response])
                scores[STALT] = moves.get(response, math.nan)
            norms = np.concatenate(self._norms.pop(response))
            rows[response] = ResponseRows(norms, own, scores)
        return rows

    def _read(self) -> None:
        """Move what was added to the host."""
        self._waiting.measure()
        for stretch in self._stretches:
            norms = torch.stack(stretch.norms).cpu().numpy()
            signals = torch.stack(stretch.signals).cpu().numpy()
            for column, response in enumerate(stretch.responses):
                self._norms[response].append(norms[:, :, column])
                self._signals[response].append(signals[:, :, column])
        self._stretches = []
