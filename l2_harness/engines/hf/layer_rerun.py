"""Running a decoder layer again on other states, without writing its cache.

Knows layers and their arguments; knows no technique.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from l2_harness.engines.hf.read_only_cache import ReadOnlyCache


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A call of a layer that has just been made: enough to make it again for some positions.

    Attributes:
        module: the layer.
        hidden: (rows, positions, d) that it was given.
        arguments: the others, by name.
    """

    module: nn.Module
    hidden: Tensor
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> LayerCall:
        """From what a forward hook gets; models differ in what they pass by position."""
        names = _argument_names(type(module).forward)
        arguments = {**dict(zip(names, args, strict=False)), **kwargs}
        return cls(module, arguments.pop(names[0]), arguments)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, positions)."""
        return self.hidden.shape[0], self.hidden.shape[1]

    def again(self, states: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
        """The layer's output for other states at some of its positions.

        Args:
            states: (m, d) in place of its inputs there.
            rows: (m,) int64 on the states' device, the row of the call that each one is in.
            positions: (m,) int64, and its position there.

        Returns:
            (m, d); attention reads what the first pass saw.
        """
        whole = self.shape[1] == 1 and len(rows) == self.shape[0]
        part = _Part(self.shape, None if whole else rows, positions)
        arguments = {name: part.of(value) for name, value in self.arguments.items()}
        if self.shape[1] > 1 and arguments.get("attention_mask") is None:
            arguments["attention_mask"] = part.causal_mask(self.shape[1])
        output = self.module.forward(states.unsqueeze(1), **arguments)
        return first_output(output)[:, 0]


@cache
def _argument_names(forward: Callable[..., Any]) -> list[str]:
    """Of a layer's forward, ``self`` left out."""
    return list(inspect.signature(forward).parameters)[1:]


def first_output(output: Any) -> Tensor:
    """A layer's hidden states: newer models return them alone, older ones in a tuple."""
    return output if isinstance(output, Tensor) else output[0]


def with_first_output(output: Any, hidden: Tensor) -> Any:
    """``output`` with other hidden states."""
    return hidden if isinstance(output, Tensor) else (hidden, *output[1:])


@dataclass(frozen=True, eq=False)
class _Part:
    """Some (row, position) pairs of a call; ``rows`` None stands for every row, in order."""

    shape: tuple[int, int]
    rows: Tensor | None
    positions: Tensor

    def of(self, value: Any) -> Any:
        """An argument's share."""
        if isinstance(value, Cache):
            return ReadOnlyCache(value, self.rows)
        if isinstance(value, Tensor):
            return self._mask(value) if value.ndim == 4 else self._tensor(value)
        if isinstance(value, (tuple, list)):
            return type(value)(self.of(item) for item in value)
        return value

    def causal_mask(self, keys: int) -> Tensor:
        """(m, 1, 1, keys) bool where the first pass left the mask to its attention kernel."""
        device = self.positions.device
        return (torch.arange(keys, device=device) <= self.positions[:, None])[:, None, None]

    def _mask(self, value: Tensor) -> Tensor:
        """Of an attention mask, (rows or 1, heads or 1, positions, keys)."""
        if self.rows is None:
            return value
        return value[self._rows_of(value), :, self._positions(value)].unsqueeze(2)

    def _tensor(self, value: Tensor) -> Tensor:
        """Of (rows or 1, positions, …): position ids, rotary embeddings and the like."""
        if self.rows is None or value.ndim < 2 or value.shape[1] != self.shape[1]:
            return value
        if value.shape[0] not in (1, self.shape[0]):
            return value
        return value[self._rows_of(value), self._positions(value)].unsqueeze(1)

    def _rows_of(self, value: Tensor) -> Tensor:
        assert self.rows is not None
        rows = self.rows if value.shape[0] > 1 else torch.zeros_like(self.rows)
        return rows.to(value.device)

    def _positions(self, value: Tensor) -> Tensor:
        return self.positions.to(value.device)
