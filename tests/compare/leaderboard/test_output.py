from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from l2_harness.compare.leaderboard import (
    Leaderboard,
    Options,
    leaderboard,
    write_leaderboard,
)
from l2_harness.compare.leaderboard.figures import frontier, sample_lines
from l2_harness.findings.section import find_sections
from l2_harness.findings.terminal import show
from l2_harness.lm_eval_files.outcomes import Cost, Outcome

NASTY = "a|b [red]x[/red] <script> $\\alpha$ =1+1"


@pytest.fixture(scope="module")
def result(made: Callable[..., list[Outcome]]) -> Leaderboard:
    rng = np.random.default_rng(0)
    outcomes = []
    for task in ("t", "u"):
        for o in made(rng, {NASTY: 0.3, "null": 0.0, "lrs2": 0.1, "lrs4": 0.1}, 60, 2, task):
            n = int(o.method[3:]) if o.method.startswith("lrs") else 1
            outcomes.append(
                Outcome(
                    model="m",
                    task=task,
                    method=o.method,
                    seed=o.seed,
                    role=o.role,
                    metric="acc,none",
                    scores=o.scores,
                    cost=Cost(3.0 * n, 100 * n, n, 5, 12, 2**30),
                    settings={"args": {"num_samples": n, "selection": f"{n > 1}"}},
                )
            )
        outcomes.append(Outcome(model="m", task=task, method="[b]", error="no [/b] memory"))
    return leaderboard(outcomes, Options(flips=500))


def test_the_files_hold_what_was_found(result: Leaderboard, tmp_path: Path) -> None:
    written = write_leaderboard(result, tmp_path, command="l2-harness compare x")
    sections = find_sections(tmp_path)
    names = ["leaderboard", "costs", "curves", "power"]
    assert [section.name for section in sections] == names == [s.name for s in written]
    assert [section.order for section in sections] == [5, 6, 7, 8]
    rows = pd.read_csv(tmp_path / "leaderboard.csv")
    first = result.boards[0].rows[0]
    assert first.score is not None
    assert rows["score"][0] == pytest.approx(100 * first.score.value)
    assert rows["method"][0] == NASTY
    content = json.loads((tmp_path / "leaderboard.json").read_text("utf-8"))
    assert len(content["rows"]) == len(rows) == 17
    assert content["boards"][0]["tasks"] == ["t", "u"]
    assert {row["outcome"] for row in content["rows"]} >= {"better", "failed", "null", "plain"}


def test_figures_can_be_read(
    result: Leaderboard, figure_faults: Callable[[object], list[str]], tmp_path: Path
) -> None:
    sections = write_leaderboard(result, tmp_path)
    figures = {figure.name: figure.drawing for one in sections for figure in one.figures}
    assert figures.keys() >= {"differences", "pareto", "curves"}
    assert {name: faults for name, one in figures.items() if (faults := figure_faults(one))} == {}


def test_markdown_cells_hold_no_markup(result: Leaderboard, tmp_path: Path) -> None:
    write_leaderboard(result, tmp_path)
    lines = (tmp_path / "leaderboard.md").read_text("utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in tables}) == 1
    assert not any("<script>" in line for line in lines)
    assert sum("no \\[/b] memory" in line for line in tables) == 2
    assert not any("−0.0 " in line for line in tables)


def test_the_terminal_shows_names_as_they_are_within_100_columns(
    result: Leaderboard, tmp_path: Path
) -> None:
    text = io.StringIO()
    single = [board for board in result.boards if not board.tasks]
    sections = write_leaderboard(replace(result, boards=single), tmp_path)
    assert all(1 <= len(section.findings) <= 3 for section in sections)
    show(sections, Path("out"), ["x"], Console(file=text, width=100))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) < 60
    assert "failed: no [/b]" in text.getvalue()
    shown = "".join(text.getvalue().split())
    assert "a|b[red]x[/red]<script>" in shown
    assert "better" in shown


def test_the_frontier_by_hand() -> None:
    points = [(1, 50), (2, 60), (2, 55), (3, 60), (4, 70), (1, 50), (0.5, 10)]
    assert frontier(points) == [6, 0, 5, 1, 4]
    assert frontier([(1, 5), (2, 3), (3, 4)], higher_is_better=False) == [0, 1]
    assert frontier([]) == []


def test_methods_that_differ_in_samples_make_a_line(result: Leaderboard) -> None:
    (line,) = sample_lines(result.boards[0])
    assert (line.name, list(line.rows)) == ("lrsN", [2, 4])
