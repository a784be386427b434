"""Sequences put together for one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batches(
    sequences: Sequence[T], length: Callable[[T], int], positions: int, most: int | None = None
) -> Iterator[list[T]]:
    """The sequences in their order, as many at a time as one padded pass may have.

    Args:
        sequences: one that is longer than ``positions`` is a batch of its own.
        length: of one.
        positions: of a pass, padding included.
        most: sequences of a pass; None for any number.
    """
    batch: list[T] = []
    for one in sequences:
        longest = max(length(other) for other in [*batch, one])
        if batch and (len(batch) == most or longest * (len(batch) + 1) > positions):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
