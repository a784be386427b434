"""The training stream: sample `index` at training progress `progress`, drawn from a seed.

Each sample depends on its index alone, so that any number of processes reads one and the same
stream and a resumed run goes on where it stopped. Dense drills come first (sums with the result
alone as target, facts to look up), then problems of 1..3 steps growing to 1..6. A problem whose
fingerprint is in a shipped split is drawn again.
"""

from __future__ import annotations

import random

from l2_harness.demo import prices, relations
from l2_harness.demo.problems import Problem, draw_limit, final_answer, fingerprint, generate
from l2_harness.demo.splits import held_out
from l2_harness.demo.tokenizer import TURN_END, TURN_START, chat_prompt, chat_response
from l2_harness.demo.words import COLLECTIBLES, GOODS, MAX_NUMBER, NAMES

Segments = list[tuple[str, bool]]
"""Pieces of a text, each with whether its tokens are targets of the loss."""

FAMILY_WEIGHTS = {"totals": 0.20, "relations": 0.42, "prices": 0.38}
DIRECT_SHARE = 0.28
DIRECT_STEP_WEIGHTS = (0.48, 0.26, 0.14, 0.05, 0.04, 0.03)
DIRECT_LIMITS = ((20, 0.4), (99, 0.4), (999, 0.2))

DRILLS_FIRST, DRILLS_LATER = 0.6, 0.06
"""Share of drills at the start, falling linearly to the later share at DRILLS_UNTIL."""
DRILLS_UNTIL = 0.25
LONG_FROM, LONG_AT = 0.08, 0.30
"""Progress at which problems grow beyond 3 steps, and at which all 6 are drawn."""

EQUATIONS = 14
FACTS = 9


def sample(seed: int, index: int, progress: float) -> Segments:
    """Sample `index` of the stream; `progress` is the share of the run that is done, 0..1."""
    rng = random.Random(f"{seed}/{index}")
    if rng.random() < drill_share(progress):
        return _equations(rng) if rng.random() < 0.6 else _facts(rng)
    direct = rng.random() < DIRECT_SHARE
    problem = _problem(rng, direct, progress)
    response = chat_response(problem.solution, final_answer(problem.answer), not direct)
    return [(chat_prompt(problem.question, not direct), False), (response, True)]


def drill_share(progress: float) -> float:
    """The share of drills among the samples at `progress`."""
    done = min(1.0, progress / DRILLS_UNTIL)
    return DRILLS_FIRST + (DRILLS_LATER - DRILLS_FIRST) * done


def max_steps(progress: float) -> int:
    """The largest number of steps that is drawn at `progress`."""
    grown = (progress - LONG_FROM) / (LONG_AT - LONG_FROM)
    return 3 + round(3 * min(1.0, max(0.0, grown)))


def _problem(rng: random.Random, direct: bool, progress: float) -> Problem:
    while True:
        family = rng.choices(list(FAMILY_WEIGHTS), list(FAMILY_WEIGHTS.values()))[0]
        if direct:
            steps = rng.choices(range(1, 7), DIRECT_STEP_WEIGHTS)[0]
            limits, weights = zip(*DIRECT_LIMITS)
            limit = int(rng.choices(limits, weights)[0])
        else:
            steps = rng.randint(1, max_steps(progress))
            limit = draw_limit(rng)
        problem = generate(rng, family, steps, limit)
        if fingerprint(problem.question) not in held_out():
            return problem


def _equation(rng: random.Random) -> tuple[str, str]:
    """`a + b =` and its result."""
    operator = rng.choice("++--**/")
    if operator == "+":
        a = rng.randint(1, rng.choice((99, MAX_NUMBER - 1)))
        b = rng.randint(1, min(MAX_NUMBER - a, rng.choice((99, MAX_NUMBER))))
        return f"{a} + {b} =", f" {a + b}."
    if operator == "-":
        a = rng.randint(2, rng.choice((99, MAX_NUMBER)))
        b = rng.randint(1, a - 1)
        return f"{a} - {b} =", f" {a - b}."
    if operator == "/":
        half = rng.randint(1, MAX_NUMBER // 2)
        return f"{2 * half} / 2 =", f" {half}."
    b = rng.choice((2, 2, 3, 3, 4, 5, 6, 7, 8, 9))
    a = rng.randint(2, min(99, MAX_NUMBER // b) if b > 3 else MAX_NUMBER // b)
    return f"{a} * {b} =", f" {a * b}."


def _equations(rng: random.Random) -> Segments:
    """Sums of which only the results are targets: nothing else in them can be known."""
    segments: Segments = [(f"{TURN_START}user\n", False)]
    for _ in range(EQUATIONS):
        left, right = _equation(rng)
        segments += [(f" {left}", False), (right, True)]
    return [*segments, (TURN_END, False)]


def _fact(rng: random.Random, name: str, other: str, good: str) -> tuple[str, str]:
    """The head of a sentence, by which it is found again, and the rest."""
    x = rng.randint(1, MAX_NUMBER)
    template = rng.choice(
        (relations.MORE, relations.FEWER, relations.TWICE, relations.THRICE, relations.HALF)
        + (relations.GIVEN, relations.GIVEN, prices.PRICE, prices.PRICE)
    )
    things = rng.choice(COLLECTIBLES)
    words = template.format(name=name, other=other, x=x, things=things, good=good).split(" ")
    return " ".join(words[:2]), " " + " ".join(words[2:])


def _facts(rng: random.Random) -> Segments:
    """Facts told once, then asked for in another order by their first two words."""
    names, goods = rng.sample(NAMES, FACTS), rng.sample(sorted(GOODS), FACTS)
    facts = [_fact(rng, n, rng.choice([m for m in names if m != n]), g) for n, g in zip(names, goods)]
    told = " ".join(head + rest for head, rest in facts)
    segments: Segments = [(f"{TURN_START}user\n{told}{TURN_END}\n{TURN_START}assistant\n", False)]
    for head, rest in rng.sample(facts, len(facts)):
        segments += [(f" {head}", False), (rest, True)]
    return [*segments, (TURN_END, False)]
