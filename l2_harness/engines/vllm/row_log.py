"""Rows on their way from a worker to the process that answers lm-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from l2_harness.engines.vllm.wire import Arrays
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.step_signals import StepSignals

#: Numbers that may wait on the device before they are moved to the host.
_ON_DEVICE = 1 << 22


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of one step: norms (layers, n) and parts of the signals (signals, n) where they were
    made, once they are.
    """

    keys: np.ndarray
    positions: np.ndarray
    norms: Tensor
    signals: list[Tensor] = field(default_factory=list)


class RowLog:
    """Collects rows in a worker: a block a step, moved to the host now and then."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._moved: list[Arrays] = []
        self._waiting = 0
        self._unmeasured = StepSignals()

    def add(
        self,
        keys: Sequence[int],
        positions: np.ndarray,
        norms: Tensor,
        logits: Tensor,
        tokens: Tensor,
    ) -> None:
        """Rows of one step.

        Args:
            keys: whose each one is.
            positions: (n,) int64.
            norms: (layers, n) float32.
            logits: (n, vocabulary), not to be changed afterwards.
            tokens: (n,) int64.
        """
        block = _Block(np.array(keys, dtype=np.int64), positions, norms)
        self._unmeasured.add(logits, tokens, block.signals)
        self._blocks.append(block)
        self._waiting += norms.numel() + len(keys) * len(SIGNALS.names)
        if self._waiting > _ON_DEVICE:
            self._move()

    def take(self) -> Arrays:
        """All rows so far: ``keys``, ``positions`` (n,), ``norms``, ``signals`` (n, …)."""
        self._move()
        moved, self._moved = self._moved, []
        if not moved:
            return {}
        return {name: np.concatenate([part[name] for part in moved]) for name in moved[0]}

    def _move(self) -> None:
        if self._blocks:
            self._unmeasured.measure()
            blocks, self._blocks, self._waiting = self._blocks, [], 0
            signals = [part for block in blocks for part in block.signals]
            self._moved.append(
                {
                    "keys": np.concatenate([block.keys for block in blocks]),
                    "positions": np.concatenate([block.positions for block in blocks]),
                    "norms": torch.cat([block.norms for block in blocks], dim=-1).T.cpu().numpy(),
                    "signals": torch.cat(signals, dim=-1).T.cpu().numpy(),
                }
            )


class RowsByResponse:
    """The same rows at the other end: put together by response, until it is complete."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[Arrays]] = {}

    def add(self, rows: Arrays) -> None:
        """What a worker gave."""
        if not rows:
            return
        order = np.argsort(rows["keys"], kind="stable")
        keys, starts = np.unique(rows["keys"][order], return_index=True)
        for key, own in zip(keys.tolist(), np.split(order, starts[1:]), strict=True):
            piece = {name: values[own] for name, values in rows.items() if name != "keys"}
            self._pieces.setdefault(key, []).append(piece)

    def take(self, key: int, first: int, count: int, scores: Mapping[str, float]) -> ResponseRows:
        """The rows of a complete response, at ``count`` positions from ``first`` on.

        Raises:
            RuntimeError: one is missing.
        """
        pieces = self._pieces.pop(key, [])
        found = {
            name: np.concatenate([piece[name] for piece in pieces])
            for name in (pieces[0] if pieces else ())
        }
        positions = found.get("positions", np.empty(0, dtype=np.int64))
        place = np.full(count, -1)
        inside = (positions >= first) & (positions < first + count)
        place[positions[inside] - first] = np.flatnonzero(inside)
        if (place < 0).any():
            missing = np.flatnonzero(place < 0) + first
            raise RuntimeError(
                f"vLLM ran {count - len(missing)} of a response's {count} rows where they could be "
                f"recorded; the first one that is missing is at position {missing[0]}."
            )
        signals = dict(zip(SIGNALS.names, found["signals"][place].T, strict=True))
        return ResponseRows(found["norms"][place], signals, dict(scores))
