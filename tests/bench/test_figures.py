"""Figures beside their goals, and the command that collects them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from l2_harness.bench import every
from l2_harness.bench.figure import Figure, markdown, missed, plain_lines
from l2_harness.bench.goals import GOALS, goal
from l2_harness.bench.rounds import Ratio
from l2_harness.cli.app import app


def test_a_figure_takes_its_goal_from_the_table() -> None:
    figure = Figure.of("commands", "select, s", 3.0)
    assert (figure.goal, figure.met) == (GOALS["commands"]["select, s"], False)
    assert Figure.of("commands", "something else", 3.0).met is None
    there = Figure.of(
        "gpu", "recording all / off", Ratio(1.01, 1.0, 1.03), work="qwen3-8b, batch 1"
    )
    assert (there.name, there.met) == ("recording all / off (qwen3-8b, batch 1)", True)
    assert Figure.of("commands", "select, s", math.nan).met is False


def test_recursion_may_take_what_its_calls_take() -> None:
    assert goal("interventions", "recursion=norm", 0.2) == pytest.approx(1.23)
    assert goal("gpu", "recursion=norm / off", 0.2) == pytest.approx(1.23)
    assert goal("vllm", "recursion=norm", 0.2) == pytest.approx(1.28)


def test_tables_say_what_is_missed() -> None:
    met = Figure("a", "b", 0.5, 0.4, 0.6, 1.0, "on a machine")
    beyond = Figure("a", "c", 1234.5, goal=2.0)
    reported = Figure("a", "d", 3.0)
    assert missed([met, beyond, reported]) == [beyond]
    rows = markdown([met, beyond, reported]).splitlines()[2:]
    assert rows == [
        "| a | b; on a machine | 0.500 (0.400 to 0.600) | 1.000 | yes |",
        "| a | c | 1,234.5 | 2.000 | **no** |",
        "| a | d | 3.000 |  |  |",
    ]
    assert plain_lines([beyond]).split() == ["c", "1,234.5", "goal", "2.000,", "missed"]


def test_without_a_gpu_its_benchmark_says_so(
    run_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = run_command("l2-harness", "bench", "gpu", "--shape", "qwen3-4b", "--json")
    assert done.returncode == 0, done.stderr
    assert "qwen3-4b: waiting for a GPU; there is none here." in done.stderr
    assert json.loads(done.stdout)["figures"] == []


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``two(value)``: the benchmarks are one that gives this figure, and one that waits."""

    def replace(value: float) -> None:
        costs = {
            "commands": [Figure.of("commands", "select, s", value).as_dict()],
            "gpu": [],
        }

        def run(command: list[str], **_: Any) -> Any:
            name = next(one for one in costs if one in command)
            printed = json.dumps({"machine": {}, "figures": costs[name], "costs": []})
            return every.subprocess.CompletedProcess(command, 0, printed, "no GPU here\n")

        monkeypatch.setattr(every.subprocess, "run", run)

    return replace


@pytest.mark.parametrize(("value", "status"), [(1.9, 0), (2.1, 1)])
def test_check_fails_where_a_goal_is_missed(
    value: float, status: int, two: Callable[[float], None], tmp_path: Path
) -> None:
    two(value)
    arguments = ["bench", "all", "--only", "commands", "--only", "gpu", "--json"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    done = CliRunner().invoke(app, [*arguments, "--check", "--out", str(tmp_path)])
    assert done.exit_code == status, done.output
    found = json.loads(done.stdout)
    assert [figure["met"] for figure in found["figures"]] == [not status]
    assert found["waiting"] == {"gpu": "no GPU here"}
    assert found["machine"]["versions"]["torch"]
    page = (tmp_path / "README.md").read_text()
    assert f"| commands | select, s | {value:.3f} | 2.000 |" in page
    assert "Not measured: gpu. no GPU here" in page
    assert json.loads((tmp_path / "commands.json").read_text())["figures"][0]["value"] == value


def test_a_benchmark_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(every.BENCHMARKS, "commands", ("no-such-benchmark", ""))
    done = CliRunner().invoke(app, ["bench", "all", "--only", "commands", "--check", "--json"])
    assert done.exit_code == 1
    assert "no-such-benchmark" in json.loads(done.stdout)["failed"]["commands"]


def test_an_unknown_benchmark_is_refused(run_command: Callable[..., Any]) -> None:
    done = run_command("l2-harness", "bench", "all", "--only", "decoed")
    assert done.returncode == 2
    assert "decode" in done.stderr
