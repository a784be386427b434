"""The generator, checked by a solver that reads nothing but the text of a question."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from l2_harness.demo.problems import (
    FAMILIES,
    STEPS,
    Problem,
    draw_limit,
    final_answer,
    fingerprint,
    generate,
)
from l2_harness.demo.splits import make_splits

EACH = 40

Amount = int | tuple[str, Callable[[int], int]]
"""A number, or another person's name and what to do with that person's number."""


def drawn(each: int = EACH) -> list[Problem]:
    rng = random.Random(7)
    cells = itertools.product(FAMILIES, STEPS, range(each))
    return [generate(rng, family, steps, draw_limit(rng)) for family, steps, _ in cells]


PROBLEMS = [*drawn(), *itertools.chain.from_iterable(make_splits().values())]


def sentences(question: str) -> list[str]:
    return re.findall(r"[^.?]+[.?]", question)


def solve_totals(question: str) -> int:
    *story, ask = [sentence.strip() for sentence in sentences(question)]
    (asked,) = re.findall(r"^How many \w+ does (\w+) have now\?$", ask)
    have: dict[str, int] = {}
    for sentence in story:
        name, rest = sentence.rstrip(".").split(" ", 1)
        numbers = [int(n) for n in re.findall(r"\d+", rest)]
        if re.match(r"has \d+ \w+$", rest):
            assert name not in have, "two starts"
            have[name] = numbers[0]
        elif re.match(r"(finds|gets|buys) \d+ more$", rest):
            have[name] += numbers[0]
        elif re.match(r"(loses|sells|gives away) \d+$", rest):
            have[name] -= numbers[0]
        else:
            (verb,) = re.findall(r"^(doubles|triples|halves) the number$", rest)
            if verb == "halves":
                assert have[name] % 2 == 0, "half of an odd number"
                have[name] //= 2
            else:
                have[name] *= {"doubles": 2, "triples": 3}[verb]
    return have[asked]


def read_relation(rest: str) -> Amount:
    if found := re.match(r"has (\d+) more than (\w+)$", rest):
        x = int(found[1])
        return found[2], lambda n: n + x
    if found := re.match(r"has (\d+) fewer than (\w+)$", rest):
        x = int(found[1])
        return found[2], lambda n: n - x
    if found := re.match(r"has (twice|three times) as many as (\w+)$", rest):
        factor = 2 if found[1] == "twice" else 3
        return found[2], lambda n: n * factor
    if found := re.match(r"has half as many as (\w+)$", rest):
        return found[1], halved
    (number,) = re.findall(r"^has (\d+) \w+$", rest)
    return int(number)


def halved(number: int) -> int:
    assert number % 2 == 0, "half of an odd number"
    return number // 2


def solve_relations(question: str) -> int:
    *story, ask = [sentence.strip() for sentence in sentences(question)]
    told: dict[str, Amount] = {}
    for sentence in story:
        name, rest = sentence.rstrip(".").split(" ", 1)
        assert name not in told, "a person is told twice"
        told[name] = read_relation(rest)

    def value(name: str) -> int:
        amount = told[name]
        return amount if isinstance(amount, int) else amount[1](value(amount[0]))

    if found := re.match(r"How many \w+ do (\w+) and (\w+) have together\?$", ask):
        return value(found[1]) + value(found[2])
    (name,) = re.findall(r"^How many \w+ does (\w+) have\?$", ask)
    return value(name)


def is_plural(word: str, singular: str) -> bool:
    return word in {f"{singular}s", f"{singular}es", f"{singular[:-1]}ves"}


def solve_prices(question: str) -> int:
    *story, ask = [sentence.strip() for sentence in sentences(question)]
    price: dict[str, int] = {}
    total, purse = 0, None
    later = 0
    for sentence in story:
        if found := re.match(r"One (\w+) costs (\d+) coins\.$", sentence):
            assert found[1] not in price, "two prices"
            price[found[1]] = int(found[2])
        elif found := re.match(r"\w+ buys ([^.]+)\.$", sentence):
            for count, goods in re.findall(r"(\d+) (\w+)", found[1]):
                (cost,) = [price[good] for good in price if is_plural(goods, good)]
                total += int(count) * cost
        elif found := re.match(r"Delivery costs (\d+) coins\.$", sentence):
            later += int(found[1])
        elif found := re.match(r"A coupon takes (\d+) coins off\.$", sentence):
            later -= int(found[1])
        else:
            (coins,) = re.findall(r"^\w+ has (\d+) coins\.$", sentence)
            purse = int(coins)
    if purse is None:
        assert re.match(r"How many coins does \w+ pay\?$", ask)
        return total + later
    assert ask == "How many coins are left?"
    return purse - total - later


SOLVERS = {"totals": solve_totals, "relations": solve_relations, "prices": solve_prices}

NAMED = (
    ("totals", "Ada has 7 keys. Ben has 2 keys. Ada gets 3 more. Ada halves the number. "
     "How many keys does Ada have now?", 5),
    ("relations", "Max has half as many as Ada. Ada has 3 more than Tom. Tom has 9 cards. "
     "How many cards do Max and Tom have together?", 15),
    ("prices", "One scarf costs 10 coins. One pen costs 2 coins. Ida buys 3 scarves and 2 pens. "
     "A coupon takes 4 coins off. Ida has 50 coins. How many coins are left?", 20),
)  # fmt: skip


@pytest.mark.parametrize(("family", "question", "answer"), NAMED)
def test_solver_of_the_tests_knows_cases_worked_by_hand(
    family: str, question: str, answer: int
) -> None:
    assert SOLVERS[family](question) == answer


def test_answers_follow_from_the_question_alone() -> None:
    wrong = [p for p in PROBLEMS if SOLVERS[p.family](p.question) != p.answer]
    assert not wrong, wrong[:3]


EXPRESSION = r"\d+(?: [-+*/] \d+)*"
EQUATION = re.compile(rf"{EXPRESSION}(?: = {EXPRESSION})+")


def worth(expression: str) -> float:
    """One operation, or a sum of numbers: nothing here needs precedence."""
    first, *rest = expression.split(" ")
    value = float(first)
    for operator, number in zip(rest[::2], rest[1::2], strict=True):
        x = int(number)
        value = {"+": value + x, "-": value - x, "*": value * x, "/": value / x}[operator]
    return value


def test_every_equation_of_every_solution_is_true_and_the_last_gives_the_answer() -> None:
    for problem in PROBLEMS:
        equations = EQUATION.findall(problem.solution)
        assert problem.solution.count("=") == sum(e.count("=") for e in equations)
        for equation in equations:
            assert len({worth(side) for side in equation.split(" = ")}) == 1, problem
        assert worth(equations[-1].split(" = ")[-1]) == problem.answer


def test_number_of_steps_is_the_number_of_equations() -> None:
    wrong = [p for p in PROBLEMS if len(EQUATION.findall(p.solution)) != p.steps]
    assert not wrong, wrong[:3]


def test_all_numbers_lie_in_1_to_999() -> None:
    for problem in PROBLEMS:
        numbers = map(int, re.findall(r"\d+", f"{problem.question} {problem.solution}"))
        assert all(1 <= number <= 999 for number in numbers), problem


def test_solutions_use_numbers_of_the_question_or_earlier_results() -> None:
    for problem in PROBLEMS:
        known = set(re.findall(r"\d+", problem.question)) | {"2", "3"}
        for equation in EQUATION.findall(problem.solution):
            left, *middle, result = equation.split(" = ")
            assert set(re.findall(r"\d+", left)) <= known, (equation, problem)
            known |= {result, *middle}


def test_several_orders_of_steps_are_drawn_for_one_question() -> None:
    def variants(family: str) -> int:
        seen = Counter(generate(random.Random(i), family, 3, 99).solution.split()[0]
                       for i in range(200))  # fmt: skip
        return len(seen)

    assert variants("totals") == 2, "in order, and gains before losses"
    relations = {generate(random.Random(i), "relations", 4, 99).solution for i in range(200)}
    by_name = [s for s in relations if re.search(r"\w+ from \w+\.", s)]
    assert 20 < len(by_name) < 120


def test_a_problem_is_a_function_of_its_seed() -> None:
    def draw(seed: int) -> Problem:
        return generate(random.Random(seed), "prices", 5, 99)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize(
    ("family", "steps", "named"), [("sums", 2, "sums"), ("totals", 7, "7"), ("totals", 0, "0")]
)
def test_unknown_family_or_steps_are_named(family: str, steps: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        generate(random.Random(0), family, steps, 99)


def test_the_answer_stands_behind_its_mark() -> None:
    assert [final_answer(n) for n in (1, 90)] == ["#### 1", "#### 90"]


def test_fingerprint_ignores_who_and_what_but_not_numbers_or_order() -> None:
    question = "Ada has 3 keys. Ben has 4 keys. How many keys does Ada have now?"
    renamed = "Tom has 3 cards. Zoe has 4 cards. How many cards does Tom have now?"
    other_number = question.replace("3", "5")
    other_person = question.replace("does Ada", "does Ben")
    assert fingerprint(question) == fingerprint(renamed)
    assert len({fingerprint(q) for q in (question, other_number, other_person)}) == 3
