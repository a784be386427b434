"""The training stream: what it draws, how it hardens, and that it can be resumed anywhere."""

from __future__ import annotations

import re

import pytest

from l2_harness.demo.corpus import Example, drill_share, examples, most_steps
from l2_harness.demo.problems import ANSWER_MARK
from l2_harness.demo.tokenizer import THINK_END, THINK_START, TURN_END

DIRECT_END = f"{THINK_START}\n\n{THINK_END}\n\n"


def stream(progress: float, steps: int = 20, each: int = 24) -> list[Example]:
    return [e for step in range(steps) for e in examples(3, 0, step, progress, each)]


def drills(progress: float) -> list[Example]:
    return [e for e in stream(progress) if not e.prompt]


def is_direct(example: Example) -> bool:
    return example.prompt.endswith(DIRECT_END)


def test_batch_is_a_function_of_seed_process_and_step() -> None:
    batch = list(examples(3, 1, 5, 0.5, 6))
    assert batch == list(examples(3, 1, 5, 0.5, 6))
    for other in ((4, 1, 5), (3, 0, 5), (3, 1, 6)):
        assert batch != list(examples(*other, 0.5, 6))


@pytest.mark.parametrize(
    ("progress", "longest"), [(0, 2), (0.05, 2), (0.06, 4), (0.13, 4), (0.14, 6), (1, 6)]
)
def test_problems_grow_longer(progress: float, longest: int) -> None:
    assert most_steps(progress) == longest
    thinking = [e.response for e in stream(progress) if e.prompt and not is_direct(e)]
    equations = [len(re.findall(r"= \d+\.", response)) for response in thinking]
    assert max(equations) == longest
    assert min(equations) == 1


def test_drills_become_fewer_and_never_cease() -> None:
    shares = [len(drills(progress)) / len(stream(progress)) for progress in (0, 0.1, 0.9)]
    expected = [drill_share(progress) for progress in (0, 0.1, 0.9)]
    assert expected == sorted(expected, reverse=True)
    assert expected[-1] > 0
    assert shares == pytest.approx(expected, abs=0.07)


def test_drills_are_true_equations() -> None:
    compute = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
    }
    seen: set[str] = set()
    for drill in drills(0):
        found = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)\.", drill.response)
        assert " ".join("{} {} {} = {}.".format(*e) for e in found) + TURN_END == drill.response
        for a, operator, b, result in found:
            assert compute[operator](int(a), int(b)) == int(result)
            assert 1 <= int(result) <= 999
            seen.add(operator)
    assert seen == set("+-*/")


def test_responses_think_or_answer_directly() -> None:
    problems = [e for e in stream(0.5) if e.prompt]
    direct = [e for e in problems if is_direct(e)]
    assert 0.18 < len(direct) / len(problems) < 0.32
    for example in problems:
        end = rf"{ANSWER_MARK} \d+{re.escape(TURN_END)}"
        thought = rf"{THINK_START}\n[^<]+\n{THINK_END}\n\n"
        assert re.fullmatch(end if is_direct(example) else thought + end, example.response)
