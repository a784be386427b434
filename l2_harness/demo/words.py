"""The closed vocabulary of the demo problems, and the draft that every family returns."""

from __future__ import annotations

import random
from typing import NamedTuple

MAX_NUMBER = 999
"""No number in a problem, a solution or an answer is larger."""

NAMES = (
    "Ada Alan Amir Anna Ben Carl Clara Dana David Elena Emil Eva Felix Finn Greta Hana Hugo Ida "
    "Ivan Jack Jana Jonas Karim Lara Leo Lina Lucas Maria Max Mia Nadia Nina Noah Olga Omar Oscar "
    "Paul Petra Rosa Ruth Sam Sara Tara Theo Tom Vera Victor Yara Yusuf Zoe"
).split()

COLLECTIBLES = (
    "shells stamps marbles cards beads buttons stickers pebbles books badges shirts ribbons "
    "postcards feathers acorns keys"
).split()

GOODS = {
    "pen": "pens",
    "cup": "cups",
    "lamp": "lamps",
    "ball": "balls",
    "hat": "hats",
    "rope": "ropes",
    "plate": "plates",
    "candle": "candles",
    "basket": "baskets",
    "kite": "kites",
    "drum": "drums",
    "spoon": "spoons",
    "towel": "towels",
    "brush": "brushes",
    "scarf": "scarves",
    "clock": "clocks",
}
"""Singular to plural, for things that are bought."""


class Draft(NamedTuple):
    """One problem as its family makes it.

    `question` is what the reader is asked, `solution` the reasoning that goes between the think
    tags, `answer` the number after `####`.
    """

    question: str
    solution: str
    answer: int


class DeadEndError(Exception):
    """A random draft ran into a number outside 1..MAX_NUMBER; draw again."""


def in_range(value: int) -> int:
    """`value` itself, or DeadEndError where it is outside 1..MAX_NUMBER."""
    if not 1 <= value <= MAX_NUMBER:
        raise DeadEndError(str(value))
    return value


def number(rng: random.Random, low: int, high: int) -> int:
    """A whole number in low..high; DeadEndError where that interval is empty."""
    if high < low:
        raise DeadEndError(f"{low}..{high}")
    return rng.randint(low, high)
