"""A piece of a response."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """A box, a formula or a value: where it starts and ends in the text, and what it says."""

    start: int
    end: int
    content: str
