"""Prices: several of some goods, perhaps with delivery, a coupon, and the change of a payment."""

from __future__ import annotations

import random

from l2_harness.demo.words import GOODS, MAX_NUMBER, NAMES, Draft, in_range, number

PRICE = "One {good} costs {x} coins."
BUYS = "{name} buys {list}."
DELIVERY = "Delivery costs {x} coins."
COUPON = "A coupon takes {x} coins off."
PURSE = "{name} has {x} coins."
ASK_TOTAL = "How many coins does {name} pay?"
ASK_LEFT = "How many coins are left?"
COUNT = "{count} {goods}:"
TOGETHER = "Together:"
WITH_DELIVERY = "With delivery:"
WITH_COUPON = "With the coupon:"
LEFT = "Left:"
LIST_WORDS = ", and"

TEMPLATES = (
    *(PRICE, BUYS, DELIVERY, COUPON, PURSE, ASK_TOTAL, ASK_LEFT, COUNT, TOGETHER),
    *(WITH_DELIVERY, WITH_COUPON, LEFT, LIST_WORDS),
)

MAX_PRICE = 99
SPLIT_SHARE = 0.6
"""Share of two-digit products that are worked out as tens plus ones."""


def _listing(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) == 1:
        return parts[0]
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def _product(rng: random.Random, price: int, count: int) -> str:
    """`47 * 3 = 141.` or, through tens and ones, `47 * 3 = 120 + 21 = 141.`"""
    total = in_range(price * count)
    tens, ones = price - price % 10, price % 10
    split = bool(tens and ones) and rng.random() < SPLIT_SHARE
    middle = f"{tens * count} + {ones * count} = " if split else ""
    return f"{price} * {count} = {middle}{total}."


def _shape(rng: random.Random, steps: int) -> tuple[int, int]:
    """How many goods and how many extras make `steps`: goods products, goods - 1 sums."""
    shapes = [(g, steps - (2 * g - 1)) for g in (1, 2, 3) if 0 <= steps - (2 * g - 1) <= 3]
    return rng.choice(shapes)


def _goods_solution(
    rng: random.Random, bought: list[tuple[str, int]], prices: dict[str, int]
) -> tuple[list[str], int]:
    """Lines and total for all goods, in a random order, summed on the way or at the end."""
    order = bought[:]
    rng.shuffle(order)
    on_the_way = rng.random() < 0.5
    lines: list[str] = []
    sums: list[str] = []
    total = 0
    for good, count in order:
        lines.append(COUNT.format(count=count, goods=GOODS[good]))
        lines.append(PRICE.format(good=good, x=prices[good]))
        lines.append(_product(rng, prices[good], count))
        cost = prices[good] * count
        if total:
            equation = f"{TOGETHER} {total} + {cost} = {in_range(total + cost)}."
            (lines if on_the_way else sums).append(equation)
        total += cost
    return lines + sums, total


def _extras(
    rng: random.Random, kinds: list[str], name: str, total: int, limit: int
) -> tuple[list[str], list[str], int]:
    """Told sentences, worked lines and result of delivery, coupon and purse.

    Delivery and coupon commute, so that the order in which they are worked is drawn apart from
    the order in which they are told; the purse comes last.
    """
    told: list[str] = []
    worked: list[str] = []
    for kind in kinds:
        if kind == "delivery":
            x = number(rng, 1, min(limit, MAX_NUMBER - total))
            told.append(DELIVERY.format(x=x))
            worked.append(f"{WITH_DELIVERY} {total} + {x} = {total + x}.")
            total += x
        elif kind == "coupon":
            x = number(rng, 1, min(limit, total - 1))
            told.append(COUPON.format(x=x))
            worked.append(f"{WITH_COUPON} {total} - {x} = {total - x}.")
            total -= x
        else:
            x = number(rng, total + 1, MAX_NUMBER)
            told.append(PURSE.format(name=name, x=x))
            worked.append(f"{LEFT} {x} - {total} = {x - total}.")
            total = x - total
    rng.shuffle(told)
    return told, worked, total


def _extra_kinds(rng: random.Random, count: int) -> list[str]:
    kinds = rng.sample(["delivery", "coupon", "purse"], count)
    return sorted(kinds, key=lambda kind: kind == "purse")


def draft(rng: random.Random, steps: int, limit: int) -> Draft:
    """A problem of `steps` calculations with drawn numbers up to `limit`, prices up to 99."""
    goods, extras = _shape(rng, steps)
    name = rng.choice(NAMES)
    chosen = rng.sample(sorted(GOODS), goods + rng.randint(0, 1 if goods == 3 else 2))
    prices = {good: number(rng, 2, min(limit, MAX_PRICE)) for good in chosen}
    bought = [(good, rng.randint(2, 9)) for good in chosen[:goods]]
    tags = [PRICE.format(good=good, x=prices[good]) for good in chosen]
    rng.shuffle(tags)
    listing = _listing([f"{count} {GOODS[good]}" for good, count in bought])
    lines, total = _goods_solution(rng, bought, prices)
    kinds = _extra_kinds(rng, extras)
    told, worked, answer = _extras(rng, kinds, name, total, limit)
    ask = ASK_LEFT if "purse" in kinds else ASK_TOTAL.format(name=name)
    question = " ".join([*tags, BUYS.format(name=name, list=listing), *told, ask])
    return Draft(question, " ".join(lines + worked), in_range(answer))
