"""The shipped splits: made from fixed seeds, disjoint, and kept out of the training stream.

`python -m l2_harness.demo.splits --out tasks/l2_demo` writes them again, byte for byte.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
from dataclasses import asdict
from pathlib import Path

from l2_harness.demo.problems import FAMILIES, STEPS, Problem, fingerprint, generate
from l2_harness.demo.seen import SEEN

SPLITS = ("test", "validation", "calibration")
PER_CELL = {1: 10, 2: 10, 3: 20, 4: 20, 5: 50, 6: 70}
"""Problems of each family by number of steps: 3 * 180 = 540 a split. Mostly long ones, since the
model solves most of the short ones, and a benchmark is to leave room both ways."""

LIMIT = 999
"""Numbers are drawn up to here, where the training draws smaller ones too."""

SEED = "l2-demo-2"


@functools.cache
def make_splits() -> dict[str, tuple[Problem, ...]]:
    """All splits; a problem that an earlier one equals, or training met, is drawn again."""
    taken = set(SEEN)
    splits: dict[str, tuple[Problem, ...]] = {}
    for split in SPLITS:
        rng = random.Random(f"{SEED}/{split}")
        problems: list[Problem] = []
        for family in FAMILIES:
            for steps in STEPS:
                problems += _cell(rng, family, steps, taken)
        rng.shuffle(problems)
        splits[split] = tuple(problems)
    return splits


def _cell(rng: random.Random, family: str, steps: int, taken: set[str]) -> list[Problem]:
    cell: list[Problem] = []
    while len(cell) < PER_CELL[steps]:
        problem = generate(rng, family, steps, LIMIT)
        key = fingerprint(problem.question)
        if key not in taken:
            taken.add(key)
            cell.append(problem)
    return cell


@functools.cache
def held_out() -> frozenset[str]:
    """Fingerprints of every problem of every split, which training must not see."""
    return frozenset(fingerprint(p.question) for split in make_splits().values() for p in split)


def to_jsonl(split: str) -> str:
    """The file of one split: one JSON object a line, keys as in `Problem`, an id in front."""
    lines = [
        json.dumps({"id": f"{split}-{index:03d}", **asdict(problem)})
        for index, problem in enumerate(make_splits()[split])
    ]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    """Write every split to `--out`."""
    parser = argparse.ArgumentParser(description="Write the demo splits as JSONL.")
    parser.add_argument("--out", type=Path, required=True, help="folder, such as tasks/l2_demo")
    out: Path = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        (out / f"{split}.jsonl").write_text(to_jsonl(split), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
