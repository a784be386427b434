"""The training stream: which problems, how hard, at what moment of the training.

A batch is a pure function of (seed, process, step), so that a run that was killed goes on with
the very problems it would have seen.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from l2_harness.demo.problems import STEPS, draw_limit, final_answer, fingerprint, generate
from l2_harness.demo.splits import held_out
from l2_harness.demo.tokenizer import TURN_END, chat_prompt, chat_response
from l2_harness.demo.words import MAX_NUMBER

FAMILY_WEIGHTS = {"totals": 0.18, "relations": 0.50, "prices": 0.32}
"""Relations take a small model longest to learn, running totals the shortest."""

DIRECT_SHARE = 0.25
DIRECT_STEP_WEIGHTS = (4, 3, 2, 1, 1, 1)
EQUATIONS_A_DRILL = 12


@dataclass(frozen=True)
class Example:
    """A text to continue and its continuation; the loss is over the continuation alone."""

    prompt: str
    response: str


def most_steps(progress: float) -> int:
    """The longest problems at this share of the training: 2, then 4, then all 6."""
    return 2 if progress < 0.06 else 4 if progress < 0.14 else STEPS[-1]


def drill_share(progress: float) -> float:
    """How many examples are bare arithmetic: many at first, a few to the end."""
    return 0.4 if progress < 0.06 else 0.15 if progress < 0.2 else 0.05


def examples(seed: int, rank: int, step: int, progress: float, n: int) -> Iterator[Example]:
    """The ``n`` examples of one process at one step; none is in a shipped split."""
    rng = random.Random(f"{seed}/{rank}/{step}")
    for _ in range(n):
        if rng.random() < drill_share(progress):
            yield _drill(rng)
        else:
            yield _problem(rng, most_steps(progress))


def _problem(rng: random.Random, longest: int) -> Example:
    thinking = rng.random() >= DIRECT_SHARE
    weights = [1] * longest if thinking else DIRECT_STEP_WEIGHTS[:longest]
    while True:
        (family,) = rng.choices(list(FAMILY_WEIGHTS), list(FAMILY_WEIGHTS.values()))
        (steps,) = rng.choices(STEPS[:longest], weights)
        problem = generate(rng, family, steps, draw_limit(rng))
        if fingerprint(problem.question) not in held_out():
            break
    final = final_answer(problem.answer)
    return Example(
        chat_prompt(problem.question, thinking), chat_response(problem.solution, final, thinking)
    )


def _drill(rng: random.Random) -> Example:
    equations = " ".join(_equation(rng) for _ in range(EQUATIONS_A_DRILL))
    return Example("", f"{equations}{TURN_END}")


def _equation(rng: random.Random) -> str:
    a = rng.randint(1, rng.choice((20, 99, 499, MAX_NUMBER - 1)))
    kind = rng.random()
    if kind < 0.4:
        b = rng.randint(1, MAX_NUMBER - a)
        return f"{a} + {b} = {a + b}."
    if kind < 0.75:
        b = rng.randint(1, a)
        return f"{a + 1} - {b} = {a + 1 - b}."
    if kind < 0.8:
        return f"{a - a % 2 + 2} / 2 = {(a - a % 2 + 2) // 2}."
    price = rng.randint(1, 99)
    count = rng.randint(2, 9)
    return f"{price} * {count} = {price * count}."
