"""Running totals: one person's things grow and shrink, event by event, beside a bystander's."""

from __future__ import annotations

import random

from l2_harness.demo.words import COLLECTIBLES, MAX_NUMBER, NAMES, Draft, in_range, number

GAINS = ("{name} finds {x} more.", "{name} gets {x} more.", "{name} buys {x} more.")
LOSSES = ("{name} loses {x}.", "{name} sells {x}.", "{name} gives away {x}.")
DOUBLES = "{name} doubles the number."
TRIPLES = "{name} triples the number."
HALVES = "{name} halves the number."
START = "{name} has {x} {things}."
ASK = "How many {things} does {name} have now?"
IN_ORDER = "Step by step:"
GROUPED = ("Gains:", "Losses:", "Now:")
NOTHING = "none."

TEMPLATES = (*GAINS, *LOSSES, DOUBLES, TRIPLES, HALVES, START, ASK, IN_ORDER, *GROUPED, NOTHING)

Event = tuple[str, int]
"""An operator of `+ - * /` and its right operand."""

GROUPED_SHARE = 0.3


def _event(rng: random.Random, value: int, limit: int) -> Event:
    """An event that keeps a total of `value` inside 1..MAX_NUMBER."""
    draw = rng.random()
    if draw < 0.42:
        return "+", number(rng, 1, min(limit, MAX_NUMBER - value))
    if draw < 0.80:
        return "-", number(rng, 1, min(limit, value - 1))
    if draw < 0.88:
        return "*", 2
    if draw < 0.92:
        return "*", 3
    if value % 2:
        return "+", number(rng, 1, min(limit, MAX_NUMBER - value))
    return "/", 2


def _apply(value: int, event: Event) -> int:
    operator, x = event
    if operator == "+":
        return in_range(value + x)
    if operator == "-":
        return in_range(value - x)
    return in_range(value * x if operator == "*" else value // x)


def _sentence(rng: random.Random, name: str, event: Event) -> str:
    operator, x = event
    if operator in "+-":
        return rng.choice(GAINS if operator == "+" else LOSSES).format(name=name, x=x)
    if operator == "/":
        return HALVES.format(name=name)
    return (DOUBLES if x == 2 else TRIPLES).format(name=name)


def _merge(rng: random.Random, first: list[str], second: list[str]) -> list[str]:
    """Both lists in one, each in its own order."""
    picks = [0] * len(first) + [1] * len(second)
    rng.shuffle(picks)
    queues = (iter(first), iter(second))
    return [next(queues[pick]) for pick in picks]


def _story(
    rng: random.Random, name: str, start: int, events: list[Event], things: str
) -> list[str]:
    opening = START.format(name=name, x=start, things=things)
    return [opening, *(_sentence(rng, name, event) for event in events)]


def _in_order(start: int, events: list[Event]) -> str:
    value, lines = start, [IN_ORDER]
    for event in events:
        result = _apply(value, event)
        lines.append(f"{value} {event[0]} {event[1]} = {result}.")
        value = result
    return " ".join(lines)


def _sum_up(numbers: list[int]) -> tuple[str, int]:
    """`a + b = s. s + c = t.` and t; one number alone is only named."""
    if not numbers:
        return NOTHING, 0
    if len(numbers) == 1:
        return f"{numbers[0]}.", numbers[0]
    total, lines = numbers[0], []
    for x in numbers[1:]:
        lines.append(f"{total} + {x} = {in_range(total + x)}.")
        total += x
    return " ".join(lines), total


def _grouped(start: int, events: list[Event]) -> str:
    """The other valid path: all gains first, then all losses, then both applied to the start."""
    gains, gain = _sum_up([x for operator, x in events if operator == "+"])
    losses, loss = _sum_up([x for operator, x in events if operator == "-"])
    value, last = start, []
    for operator, x in (("+", gain), ("-", loss)):
        if x:
            result = _apply(value, (operator, x))
            last.append(f"{value} {operator} {x} = {result}.")
            value = result
    return " ".join([GROUPED[0], gains, GROUPED[1], losses, GROUPED[2], *last])


def _can_group(start: int, events: list[Event]) -> bool:
    if len(events) < 3 or any(operator in "*/" for operator, _ in events):
        return False
    gain = sum(x for operator, x in events if operator == "+")
    loss = sum(x for operator, x in events if operator == "-")
    return start + gain <= MAX_NUMBER and loss <= MAX_NUMBER


def draft(rng: random.Random, steps: int, limit: int) -> Draft:
    """A problem of `steps` events with drawn numbers up to `limit`."""
    name, other = rng.sample(NAMES, 2)
    things = rng.choice(COLLECTIBLES)
    start = value = number(rng, 2, limit)
    events: list[Event] = []
    for _ in range(steps):
        events.append(_event(rng, value, limit))
        value = _apply(value, events[-1])
    lines = _story(rng, name, start, events, things)
    if rng.random() < 0.5:
        theirs = number(rng, 2, limit)
        bystander = [_event(rng, theirs, limit) for _ in range(rng.randint(0, 1))]
        lines = _merge(rng, lines, _story(rng, other, theirs, bystander, things))
    lines.append(ASK.format(name=name, things=things))
    grouped = _can_group(start, events) and rng.random() < GROUPED_SHARE
    solution = (_grouped if grouped else _in_order)(start, events)
    return Draft(" ".join(lines), solution, value)
