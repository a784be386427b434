"""Norms and output statistics of continuations that a forward pass scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from l2_harness.engines.hf.residual_norms import ResidualNorms
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.statistics import distribution_statistics

#: Rows whose distributions are held at once: bounds the memory beside the model's logits.
_BLOCK = 256


class Continuation(NamedTuple):
    """A scored continuation: where its rows lie in the batch, and its ids.

    ``end`` is one past the position that predicts the last token, padding excluded.
    """

    batch_row: int
    end: int
    tokens: Sequence[int]


class ScoringRecorder:
    """Forward passes that score given tokens (lm-eval's loglikelihood requests)."""

    def __init__(self, norms: ResidualNorms) -> None:
        self._norms = norms

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Hook the layers during one forward pass."""
        with self._norms.all_positions():
            yield

    def rows(self, logits: Tensor, continuations: Sequence[Continuation]) -> list[ResponseRows]:
        """The rows of each continuation in the pass that just ran.

        Args:
            logits: (batch, positions, vocabulary) of that pass.
            continuations: where to look; several may share a batch row.
        """
        norms = self._norms.take()
        batch_rows, positions, tokens = _flat(continuations, logits.device)
        signals = [
            distribution_statistics(logits[r, p]).signals(t)
            for r, p, t in zip(
                batch_rows.split(_BLOCK), positions.split(_BLOCK), tokens.split(_BLOCK), strict=True
            )
        ]
        table = torch.cat(signals, dim=-1).cpu().numpy()
        where = batch_rows.to(norms.device), positions.to(norms.device)
        norm_rows = norms[:, where[0], where[1]].T.cpu().numpy()
        ends = np.cumsum([len(c.tokens) for c in continuations])[:-1]
        return [
            ResponseRows(n, dict(zip(SIGNALS.names, own, strict=True)))
            for n, own in zip(np.split(norm_rows, ends), np.split(table, ends, axis=1), strict=True)
        ]


def _flat(
    continuations: Sequence[Continuation], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch row, position and token of every row of every continuation, (N,) each."""
    triples = [
        (c.batch_row, c.end - len(c.tokens) + offset, token)
        for c in continuations
        for offset, token in enumerate(c.tokens)
    ]
    rows, positions, tokens = torch.tensor(triples, device=device).unbind(-1)
    return rows, positions, tokens
