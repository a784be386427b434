"""Rows of one forward pass: what the host knows of them, and where their responses' state is.

A response's state lies in a slot. ``rows`` here are indices in a response, from 0: row 0 is
the last prompt position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from l2_harness.interventions.row_draws import RowDraws
from l2_harness.random_numbers import draw_bits

T = TypeVar("T")


def reading_is_free(device: torch.device) -> bool:
    """Whether the host may look at a value without waiting for the device."""
    return device.type == "cpu"


class SlotMap:
    """Which slot each of n rows belongs to, no slot twice.

    Where the rows are all slots in order, state tensors are used as they are, without a copy.
    """

    def __init__(self, slots: np.ndarray, n_slots: int) -> None:
        self.slots = slots
        self.n_slots = n_slots
        self.dense = len(slots) == n_slots and bool((slots == np.arange(n_slots)).all())
        self._index: dict[torch.device, Tensor] = {}

    def index(self, device: torch.device) -> Tensor:
        """(n,) int64 slots on ``device``."""
        if device not in self._index:
            self._index[device] = torch.from_numpy(self.slots).to(device)
        return self._index[device]

    def read(self, state: Tensor) -> Tensor:
        """(n, …) the rows' part of a state: (n_slots, …). May be the state itself."""
        return state if self.dense else state.index_select(0, self.index(state.device))

    def write(self, state: Tensor, values: Tensor) -> None:
        """Store values: (n, …), which may be what :meth:`read` gave, changed in place."""
        if self.dense:
            if values is not state:
                state.copy_(values)
        else:
            state.index_copy_(0, self.index(state.device), values)

    def spread(self, values: Tensor, elsewhere: float) -> Tensor:
        """(…, n_slots) values: (…, n) in their slots, and a constant in all others."""
        if self.dense:
            return values
        whole = values.new_full((*values.shape[:-1], self.n_slots), elsewhere)
        return whole.index_copy_(-1, self.index(values.device), values)


class Editable:
    """Which of some rows a technique may edit, mask: (n,) bool."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask
        self._on: dict[torch.device, Tensor] = {}

    def on(self, device: torch.device) -> Tensor:
        """``mask`` on ``device``, copied there once."""
        if device not in self._on:
            self._on[device] = torch.from_numpy(self.mask).to(device)
        return self._on[device]

    @cached_property
    def any(self) -> bool:
        """Whether it may edit a row at all."""
        return bool(self.mask.any())

    @cached_property
    def all(self) -> bool:
        """Whether it may edit every row."""
        return bool(self.mask.all())


@dataclass(eq=False)
class RowSet:
    """Some rows of a pass.

    Attributes:
        slots, rows, numbers: (n,) int64; a number is one response's, and no other has it.
        index: (n,) where the rows lie in what they were taken from, None for all of it.
        keys: (n,) uint64, of the responses' random numbers.
        counts: (n,) bool, whether the row's norm enters the threshold.
        editable: technique → the rows that it may edit.
        slot_map: set where no slot appears twice.
        draws: where random numbers come from.
        same_for: for how many of the next rows all this will hold, but for the rows themselves.
    """

    slots: np.ndarray
    rows: np.ndarray
    numbers: np.ndarray
    index: np.ndarray | None
    keys: np.ndarray
    counts: np.ndarray
    editable: dict[str, Editable]
    slot_map: SlotMap | None
    draws: RowDraws
    same_for: int = 0
    _tensors: dict[tuple[str, torch.device], Tensor] = field(default_factory=dict)
    _drawn: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.slots)

    def tensor(self, name: str, make: Callable[[], np.ndarray], device: torch.device) -> Tensor:
        """A host array on ``device``, copied there once."""
        key = (name, device)
        if key not in self._tensors:
            self._tensors[key] = torch.from_numpy(make()).to(device)
        return self._tensors[key]

    def index_on(self, device: torch.device) -> Tensor:
        """``index`` on ``device``."""
        assert self.index is not None
        index = self.index
        return self.tensor("index", lambda: index, device)

    def rows_on(self, device: torch.device) -> Tensor:
        """``rows`` on ``device``."""
        return self.tensor("rows", lambda: self.rows, device)

    @cached_property
    def all_count(self) -> bool:
        """Whether every row's norm enters the threshold."""
        return bool(self.counts.all())

    def only_editable(self, technique: str, mask: Tensor) -> Tensor:
        """mask: (n,) bool, less the rows that the technique may not edit."""
        editable = self.editable[technique]
        if editable.all:
            return mask
        return mask & editable.on(mask.device)

    @cached_property
    def may_edit(self) -> np.ndarray:
        """(n,) bool, the rows that some technique may edit."""
        masks = [editable.mask for editable in self.editable.values()]
        return np.logical_or.reduce(masks) if masks else np.zeros(len(self), dtype=bool)

    def next_rows(self) -> RowSet:
        """The rows that follow these, of which all holds that holds of these."""
        following = RowSet(
            self.slots,
            self.rows + 1,
            self.numbers,
            self.index,
            self.keys,
            self.counts,
            self.editable,
            self.slot_map,
            self.draws,
            self.same_for - 1,
        )
        following.all_count, following.may_edit = self.all_count, self.may_edit
        return following

    def bits(self, purpose: str, layer: int) -> np.ndarray:
        """(n,) uint64 random bits."""
        return draw_bits(self.keys, purpose, layer, self.rows)

    def uniforms(self, purpose: str, layer: int) -> np.ndarray:
        """(n,) float64 random numbers in [0, 1), at most one row a response."""
        drawn: np.ndarray = self._of_all_layers(purpose)[self.draws.place[layer]]
        return drawn

    def uniforms_on(self, purpose: str, layer: int, device: torch.device) -> Tensor:
        """The same on ``device``, float64."""
        drawn = self.tensor(purpose, lambda: self._of_all_layers(purpose), device)
        return drawn[self.draws.place[layer]]

    def _of_all_layers(self, purpose: str) -> np.ndarray:
        assert self.slot_map is not None
        if purpose not in self._drawn:
            self._drawn[purpose] = self.draws.of(
                purpose, self.slots, self.numbers, self.keys, self.rows
            )
        return self._drawn[purpose]

    def part_of(self, values: Tensor) -> Tensor:
        """These rows of values: (whole, …), of what they were taken from."""
        return (
            values if self.index is None else values.index_select(0, self.index_on(values.device))
        )

    def whole_index(self, which: Tensor) -> Tensor:
        """Where rows which: (m,) of these lie in what they were taken from."""
        return which if self.index is None else self.index_on(which.device)[which]

    def put_back(self, whole: Tensor, part: Tensor, edited: Tensor) -> Tensor:
        """``whole`` with these rows edited; itself where ``edited`` is the very ``part``."""
        if edited is part:
            return whole
        if self.index is None:
            return edited
        return whole.index_copy(0, self.index_on(whole.device), edited)

    def take(self, index: np.ndarray, slot_map: SlotMap | None) -> RowSet:
        """Some of these rows."""
        return RowSet(
            self.slots[index],
            self.rows[index],
            self.numbers[index],
            index,
            self.keys[index],
            self.counts[index],
            {name: Editable(e.mask[index]) for name, e in self.editable.items()},
            slot_map,
            self.draws,
        )


class Waves:
    """Rows in parts with at most one row a response, to be gone through in order.

    Args:
        parts: their ``index`` counts in the rows that they are parts of.
    """

    def __init__(self, parts: Sequence[RowSet]) -> None:
        self.parts = tuple(parts)

    def join(self, values: Sequence[Tensor]) -> Tensor:
        """A tensor (rows, …) from one (part, …) for each part."""
        if len(values) == 1:
            return values[0]
        return torch.cat(list(values))[self._places.to(values[0].device)]

    def split(self, values: Tensor) -> list[Tensor]:
        """The opposite of :meth:`join`."""
        if len(self.parts) == 1:
            return [values]
        return [part.part_of(values) for part in self.parts]

    def edit(
        self, hidden: Tensor, given: Sequence[T], step: Callable[[RowSet, Tensor, T], Tensor]
    ) -> Tensor:
        """``step(part, hidden of the part, given for the part)`` for one part after the other.

        Returns:
            hidden: (rows, d) edited; itself where every step gave back what it got.
        """
        states = self.split(hidden)
        edited = [step(*each) for each in zip(self.parts, states, given, strict=True)]
        if all(new is own for new, own in zip(edited, states, strict=True)):
            return hidden
        return self.join(edited)

    @cached_property
    def _places(self) -> Tensor:
        order = np.concatenate([part.index for part in self.parts if part.index is not None])
        return torch.from_numpy(np.argsort(order))
