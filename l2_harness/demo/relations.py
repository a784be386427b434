"""Relations: how many things each person has is told through another person's, with distractors.

A solution first goes backwards from the person asked for to one whose number is given, then
computes forwards. Written so, each step is a look-up of the name just written; the forward order
alone would ask a small model to plan the whole chain before its first token.
"""

from __future__ import annotations

import random

from l2_harness.demo.words import (
    COLLECTIBLES,
    MAX_NUMBER,
    NAMES,
    DeadEndError,
    Draft,
    in_range,
    number,
)

GIVEN = "{name} has {x} {things}."
MORE = "{name} has {x} more than {other}."
FEWER = "{name} has {x} fewer than {other}."
TWICE = "{name} has twice as many as {other}."
THRICE = "{name} has three times as many as {other}."
HALF = "{name} has half as many as {other}."
ASK_ONE = "How many {things} does {name} have?"
ASK_TWO = "How many {things} do {name} and {other} have together?"
BACK = "{name} from {other}."
TOGETHER = "Together:"

TEMPLATES = (GIVEN, MORE, FEWER, TWICE, THRICE, HALF, ASK_ONE, ASK_TWO, BACK, TOGETHER)

NAMES_ONLY_SHARE = 0.25
"""Share of solutions that go backwards by name alone, without repeating each relation."""

TWO_CHAINS_SHARE = 0.4


class _Person:
    """A name, its number, and how the problem tells it."""

    def __init__(self, name: str, value: int, told: str, worked: str, source: _Person | None):
        self.name = name
        self.value = value
        self.told = told
        self.worked = worked
        self.source = source


def _given(rng: random.Random, name: str, things: str, limit: int) -> _Person:
    value = number(rng, 2, limit)
    told = GIVEN.format(name=name, x=value, things=things)
    return _Person(name, value, told, told, None)


def _related(rng: random.Random, name: str, source: _Person, limit: int) -> _Person:
    """`name` with a number told through `source`'s."""
    base, draw = source.value, rng.random()
    if draw < 0.38:
        operator, x, template = "+", number(rng, 1, min(limit, MAX_NUMBER - base)), MORE
    elif draw < 0.72:
        operator, x, template = "-", number(rng, 1, min(limit, base - 1)), FEWER
    elif draw < 0.84:
        operator, x, template = "*", 2, TWICE
    elif draw < 0.92:
        operator, x, template = "*", 3, THRICE
    else:
        operator, x, template = "/", 2, HALF
    if operator == "/" and base % 2:
        raise DeadEndError("an odd number has no half")
    value = {"+": base + x, "-": base - x, "*": base * x, "/": base // x}[operator]
    told = template.format(name=name, x=x, other=source.name)
    worked = f"{name} has {base} {operator} {x} = {in_range(value)}."
    return _Person(name, value, told, worked, source)


def _chain(rng: random.Random, names: list[str], things: str, limit: int) -> list[_Person]:
    """People from the one whose number is given to the one asked for."""
    people = [_given(rng, names[0], things, limit)]
    for name in names[1:]:
        people.append(_related(rng, name, people[-1], limit))
    return people


def _distractors(
    rng: random.Random, names: list[str], people: list[_Person], things: str, limit: int
) -> list[_Person]:
    """People whose numbers the answer does not need."""
    extra: list[_Person] = []
    for name in names:
        if rng.random() < 0.3:
            extra.append(_given(rng, name, things, limit))
        else:
            extra.append(_related(rng, name, rng.choice(people + extra), limit))
    return extra


def _backwards(chain: list[_Person], names_only: bool) -> str:
    """From the person asked for back to the given number."""
    if not names_only:
        return " ".join(person.told for person in reversed(chain))
    links = [
        BACK.format(name=person.name, other=person.source.name)
        for person in reversed(chain)
        if person.source is not None
    ]
    return " ".join([*links, chain[0].told])


def _solution(rng: random.Random, chains: list[list[_Person]]) -> str:
    """Backwards along every chain, forwards along every chain, then the sum of two."""
    names_only = rng.random() < NAMES_ONLY_SHARE
    order = chains[:]
    rng.shuffle(order)
    lines = [_backwards(chain, names_only) for chain in order]
    rng.shuffle(order)
    lines += [person.worked for chain in order for person in chain[1:]]
    if len(chains) == 2:
        first, second = (chain[-1].value for chain in order)
        lines.append(f"{TOGETHER} {first} + {second} = {in_range(first + second)}.")
    return " ".join(lines)


def draft(rng: random.Random, steps: int, limit: int) -> Draft:
    """A problem of `steps` calculations with drawn numbers up to `limit`."""
    two = rng.random() < TWO_CHAINS_SHARE
    names = rng.sample(NAMES, steps + 4)
    things = rng.choice(COLLECTIBLES)
    if two:
        cut = rng.randint(1, steps)
        parts = [names[:cut], names[cut : steps + 1]]
    else:
        parts = [names[: steps + 1]]
    chains = [_chain(rng, part, things, limit) for part in parts]
    people = [person for chain in chains for person in chain]
    spare = names[steps + 1 : steps + 1 + rng.randint(0, 2)]
    told = [p.told for p in people + _distractors(rng, spare, people, things, limit)]
    rng.shuffle(told)
    asked = [chain[-1] for chain in chains]
    if two:
        ask = ASK_TWO.format(name=asked[0].name, other=asked[1].name, things=things)
    else:
        ask = ASK_ONE.format(name=asked[0].name, things=things)
    answer = in_range(sum(person.value for person in asked))
    return Draft(" ".join([*told, ask]), _solution(rng, chains), answer)
