"""Which rows a forward pass has: whose they are, and at which positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: No row of a request is wanted.
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a pass, a request's in ascending order.

    Attributes:
        index: (n,) int64, where they lie in the pass.
        requests: (n,) int64, the place of their request in the pass.
        positions: (n,) int64, absolute.
        device: where tensors of them are wanted.
        leading: whether they are the pass's first rows, without a gap.
    """

    index: np.ndarray
    requests: np.ndarray
    positions: np.ndarray
    device: torch.device
    leading: bool

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def where(self) -> Tensor | slice:
        """What picks them out of a tensor of the pass."""
        return slice(0, len(self)) if self.leading else self._there(self.index)

    @cached_property
    def requests_there(self) -> Tensor:
        """(n,) int64 on the device."""
        return self._there(self.requests)

    @cached_property
    def positions_there(self) -> Tensor:
        """(n,) int64 on the device."""
        return self._there(self.positions)

    def take(self, kept: np.ndarray) -> Rows:
        """Those where ``kept`` (n,) is true."""
        if kept.all():
            return self
        index = self.index[kept]
        leading = bool((index == np.arange(len(index))).all())
        return Rows(index, self.requests[kept], self.positions[kept], self.device, leading)

    def _there(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class Step:
    """The requests of a forward pass, in the order of their rows.

    Attributes:
        ids: of the requests.
        starts: (n,) where the rows of each begin.
        counts: (n,) how many there are.
        firsts: (n,) the position of the first one.
        device: of the model.
    """

    ids: Sequence[str]
    starts: np.ndarray
    counts: np.ndarray
    firsts: np.ndarray
    device: torch.device

    @classmethod
    def of(cls, runner: Any) -> Step:
        """The pass that a runner (V1) is about to make."""
        batch = runner.input_batch
        n = batch.num_reqs
        bounds = runner.query_start_loc.np[: n + 1].astype(np.int64)
        firsts = batch.num_computed_tokens_cpu[:n].astype(np.int64)
        return cls(batch.req_ids[:n], bounds[:-1], np.diff(bounds), firsts, runner.device)

    @property
    def last(self) -> Rows:
        """The last row of every request: the one that its next token is made of."""
        requests = np.arange(len(self.ids))
        index, ends = self.starts + self.counts - 1, self.firsts + self.counts - 1
        return Rows(index, requests, ends, self.device, bool((self.counts == 1).all()))

    def between(self, floors: np.ndarray, ceilings: np.ndarray) -> Rows:
        """The rows of each request from a position on, up to another one.

        Args:
            floors: (n,) int64, the first position; :data:`NEVER` leaves a request out.
            ceilings: (n,) int64, one past the last position.
        """
        skipped = np.clip(floors - self.firsts, 0, self.counts)
        kept = np.clip(ceilings - self.firsts, skipped, self.counts) - skipped
        requests = np.repeat(np.arange(len(self.ids)), kept)
        begins = np.cumsum(kept) - kept
        offsets = np.arange(len(requests)) - begins[requests] + skipped[requests]
        index = self.starts[requests] + offsets
        leading = bool((index == np.arange(len(index))).all())
        return Rows(index, requests, self.firsts[requests] + offsets, self.device, leading)
