"""The shipped splits: balanced, disjoint, reproducible, kept out of the training stream."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import pytest

from l2_harness.demo.corpus import examples
from l2_harness.demo.problems import FAMILIES, STEPS, fingerprint
from l2_harness.demo.splits import PER_CELL, SPLITS, held_out, main, make_splits
from l2_harness.paths import tasks_dir


def questions(split: str) -> set[str]:
    return {fingerprint(problem.question) for problem in make_splits()[split]}


@pytest.mark.parametrize("split", SPLITS)
def test_balanced(split: str) -> None:
    cells = Counter((problem.family, problem.steps) for problem in make_splits()[split])
    assert cells == {(family, steps): PER_CELL[steps] for family in FAMILIES for steps in STEPS}
    assert cells.total() >= 500


def test_no_problem_occurs_twice_in_all_splits() -> None:
    for first, second in combinations(SPLITS, 2):
        assert not questions(first) & questions(second)
    assert len(held_out()) == sum(len(problems) for problems in make_splits().values())


def test_shipped_files_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    main(["--out", str(tmp_path / "new")])
    for split in SPLITS:
        shipped = (tasks_dir() / "l2_demo" / f"{split}.jsonl").read_bytes()
        assert (tmp_path / "new" / f"{split}.jsonl").read_bytes() == shipped


@pytest.mark.parametrize("split", SPLITS)
def test_shipped_rows_are_the_problems_with_an_id(split: str) -> None:
    text = (tasks_dir() / "l2_demo" / f"{split}.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows == [
        {"id": f"{split}-{index:03d}", **asdict(problem)}
        for index, problem in enumerate(make_splits()[split])
    ]


def test_order_is_mixed_so_that_a_limit_sees_all_kinds() -> None:
    first = make_splits()["test"][:100]
    assert {p.family for p in first} == set(FAMILIES)
    assert {p.steps for p in first} == set(STEPS)


def test_training_stream_holds_no_problem_of_a_split() -> None:
    stream = [e for step in range(40) for e in examples(0, step % 2, step, 0.5, 24)]
    asked = [e.prompt.split("user\n")[1].split("<|im_end|>")[0] for e in stream if e.prompt]
    assert len(asked) > 800
    assert not {fingerprint(question) for question in asked} & held_out()


def test_stream_draws_again_what_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_problems() -> list[str]:
        return [e.prompt for step in range(5) for e in examples(0, 0, step, 0.5, 4) if e.prompt]

    before = first_problems()
    taken = {fingerprint(p.split("user\n")[1].split("<|im_end|>")[0]) for p in before}
    monkeypatch.setattr("l2_harness.demo.corpus.held_out", lambda: taken | held_out())
    assert not set(before) & set(first_problems())
