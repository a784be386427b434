"""The lines that a user sees, and the time that they say is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from l2_harness.compare.cell_files import CellRecord
from l2_harness.compare.plan import Plan, PlannedCell
from l2_harness.compare.progress import Lines, Remaining, duration
from l2_harness.compare.suite import Suite, cells_of


@pytest.fixture
def cells(suite_of: Callable[..., Suite]) -> dict[str, PlannedCell]:
    suite = suite_of("a: {}", "b: {}", "four: {args: {num_samples: 4}}", "chosen: {extends: four}")
    found = {c.method.name: PlannedCell(c, Path(), {}, None) for c in cells_of(suite)}
    source = PlannedCell(found["four"].cell, Path(), {}, None, draws_only=True)
    found["drawn"] = source
    chosen = found["chosen"].cell
    return {**found, "chosen": PlannedCell(chosen, Path(), {}, None, source=source)}


def test_seconds_a_response_of_the_same_kind(cells: dict[str, PlannedCell]) -> None:
    remaining = Remaining()
    assert remaining.of([cells["b"]]) is None
    remaining.learn(cells["plain"], 10, 30)
    remaining.learn(cells["a"], 10, 50)
    assert remaining.of([cells["b"]]) == pytest.approx(40)
    assert remaining.of([cells["four"], cells["b"]]) == pytest.approx(200)
    # unknown as yet: a fiftieth for choosing, as long as answering for drawing
    assert remaining.of([cells["chosen"]]) == pytest.approx(40 * 4 / 50)
    assert remaining.of([cells["drawn"]]) == pytest.approx(160)
    remaining.learn(cells["drawn"], 10, 80)
    remaining.learn(cells["chosen"], 10, 2)
    assert remaining.of([cells["chosen"], cells["drawn"]]) == pytest.approx(82)


def test_lines(cells: dict[str, PlannedCell]) -> None:
    now, said = [0.0], list[str]()
    lines = Lines(said.append, lambda: now[0])
    two = [cells["a"], cells["b"]]
    lines.begin(Plan(two, list(two)))
    record = CellRecord(name="", status="running", definition={}, attempts=2)
    lines.started(two[0], record)
    now[0] = 90
    lines.ended(two[0], record.ended("done", documents=6))
    lines.started(two[1], CellRecord(name="", status="running", definition={}))
    now[0] = 100
    lines.ended(two[1], record.ended("failed", error="ConfigError: no [red]room"))
    assert said == [
        "[1/2] demo/l2_demo/a/seed0 (goes on)",
        "    done in 1:30 min; 1:30 min so far, 1 cell to go, about 1:30 min",
        "[2/2] demo/l2_demo/b/seed0",
        "    FAILED after 10 s: ConfigError: no [red]room; 1:40 min so far",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1:00 min"), (3599, "59:59 min"), (7500, "2:05 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
