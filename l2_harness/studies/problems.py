"""Graded arithmetic for pretrained models: the demo's word problems with small numbers, and sums.

A task file says in its metadata which problems it has; the rows are made when it is loaded.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from l2_harness.demo.problems import FAMILIES, Problem, generate

if TYPE_CHECKING:
    from datasets import DatasetDict

#: Examples in the prompt, questions to choose the task on, questions to report.
SPLITS = {"shots": 6, "validation": 60, "test": 300}
SUMS = "sums"
_NUMBER = re.compile(r"\d+")


def load_splits(families: Sequence[str], steps: Sequence[int], limit: int, **_: Any) -> DatasetDict:
    """An lm-eval ``custom_dataset``: all splits, no question twice.

    Args:
        families: of the demo's, or ``sums``, which are questions such as "What is 7 + 5?".
        steps: numbers of calculations, which sums take no notice of.
        limit: the largest number in a question or its answer.
    """
    from datasets import Dataset, DatasetDict

    drawn = list(islice(problems(families, steps, limit), sum(SPLITS.values())))
    # the last ones drawn are what is left of the small numbers: no split is to be harder
    random.Random(0).shuffle(drawn)
    rows = iter([asdict(problem) for problem in drawn])
    return DatasetDict(
        {split: Dataset.from_list(list(islice(rows, size))) for split, size in SPLITS.items()}
    )


def problems(families: Sequence[str], steps: Sequence[int], limit: int) -> Iterator[Problem]:
    """Different problems without end, families and steps in turn; the same at each call."""
    rng = random.Random(f"{'+'.join(families)}/{'+'.join(map(str, steps))}/{limit}")
    taken: set[str] = set()
    for family, count in cycle([(family, count) for count in steps for family in families]):
        problem = _draw(rng, family, count, limit, taken)
        taken.add(problem.question)
        yield problem


def _draw(rng: random.Random, family: str, steps: int, limit: int, taken: set[str]) -> Problem:
    for _ in range(100_000):
        problem = sums(rng, limit) if family == SUMS else generate(rng, family, steps, limit)
        numbers = _NUMBER.findall(f"{problem.question} {problem.answer}")
        if problem.question not in taken and max(map(int, numbers)) <= limit:
            return problem
    raise ValueError(f"no further problem of {family} in {steps} steps has numbers up to {limit}.")


def sums(rng: random.Random, limit: int) -> Problem:
    """``What is 7 + 5?``: a sum or difference of whole numbers from 1 to ``limit``."""
    if rng.random() < 0.5:
        answer = rng.randint(2, limit)
        a = rng.randint(1, answer - 1)
        family, line = "sum", f"{a} + {answer - a}"
    else:
        a = rng.randint(2, limit)
        b = rng.randint(1, a - 1)
        family, line, answer = "difference", f"{a} - {b}", a - b
    return Problem(f"What is {line}?", answer, 1, family, f"{line} = {answer}.")


assert SUMS not in FAMILIES
