"""Seeded generator of templated multi-step word problems in three families.

A problem is a pure function of a `random.Random`, a family, a number of steps and a limit for the
drawn numbers. Where several orders of steps are valid, one is drawn at random, so that samples of
a trained model take different ways.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from l2_harness.demo import prices, relations, totals
from l2_harness.demo.words import COLLECTIBLES, GOODS, NAMES, DeadEndError, Draft

FAMILIES: dict[str, Callable[[random.Random, int, int], Draft]] = {
    "totals": totals.draft,
    "relations": relations.draft,
    "prices": prices.draft,
}
STEPS = (1, 2, 3, 4, 5, 6)
LIMITS = ((20, 0.2), (99, 0.4), (999, 0.4))
"""Largest number that is drawn, and how often: results may exceed it, up to 999."""

ANSWER_MARK = "####"

_WORD = re.compile(r"[A-Za-z]+")
_KINDS = {
    **dict.fromkeys(NAMES, "name"),
    **dict.fromkeys(COLLECTIBLES, "thing"),
    **dict.fromkeys(GOODS, "good"),
    **dict.fromkeys(GOODS.values(), "goods"),
}


@dataclass(frozen=True)
class Problem:
    """A question with its number of steps, a worked solution and the final answer."""

    question: str
    answer: int
    steps: int
    family: str
    solution: str


def draw_limit(rng: random.Random) -> int:
    """A limit for the drawn numbers, from `LIMITS`."""
    limits, weights = zip(*LIMITS, strict=True)
    return int(rng.choices(limits, weights)[0])


def generate(rng: random.Random, family: str, steps: int, limit: int) -> Problem:
    """A problem of `family` in `steps` calculations, drawn numbers up to `limit`."""
    if family not in FAMILIES:
        raise ValueError(f"family={family!r} is unknown. Allowed: {', '.join(FAMILIES)}.")
    if steps not in STEPS:
        raise ValueError(f"steps={steps} is outside {STEPS[0]}..{STEPS[-1]}.")
    while True:
        try:
            question, solution, answer = FAMILIES[family](rng, steps, limit)
        except DeadEndError:
            continue
        return Problem(question, answer, steps, family, solution)


def final_answer(answer: int) -> str:
    """The line after the thinking: `#### 42`."""
    return f"{ANSWER_MARK} {answer}"


def fingerprint(question: str) -> str:
    """A hash that equals for questions that differ only in who and what they are about.

    Names and things are numbered in the order of their first appearance, so that a one-step
    problem with other names counts as the same problem.
    """
    seen: dict[str, str] = {}

    def mask(match: re.Match[str]) -> str:
        word = match.group()
        kind = _KINDS.get(word)
        return word if kind is None else seen.setdefault(word, f"{kind}{len(seen)}")

    return hashlib.sha256(_WORD.sub(mask, question).encode()).hexdigest()[:16]
