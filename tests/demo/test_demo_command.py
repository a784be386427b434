"""The command: interrupted, gone on with, run again. What it shows is what lm-eval wrote."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from l2_harness.cli.app import app
from l2_harness.compare.progress import Lines
from l2_harness.findings.section import find_sections

pytestmark = pytest.mark.slow

LIMIT = 6
METHODS = {
    *("plain", "hf", "alrr", "alrr_random"),
    *("best8_l2", "best8_random", "best8_majority"),
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["demo", "--limit", str(LIMIT), *arguments])


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Ctrl-C after the second cell."""
    out = tmp_path_factory.mktemp("demo") / "out"
    ended = Lines.ended

    def interrupting(self: Lines, planned: Any, record: Any) -> None:
        ended(self, planned, record)
        if planned.cell.method.name == "hf":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lines, "ended", interrupting)
        result = run("--out", str(out))
    return out, result


@pytest.fixture(scope="module")
def finished(interrupted: tuple[Path, Result]) -> tuple[Path, Result]:
    """The same command once more."""
    out, _ = interrupted
    result = run("--out", str(out))
    assert result.exit_code == 0, result.output + repr(result.exception)
    return out, result


def samples_of(cell: Path) -> dict[int, dict[str, Any]]:
    (path,) = cell.glob("samples_l2_demo_2*.jsonl")
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return {line["doc_id"]: line for line in lines}


def test_an_interruption_says_how_to_go_on(interrupted: tuple[Path, Result]) -> None:
    out, result = interrupted
    assert result.exit_code == 130
    assert f"What was done is in {out}; the same command goes on from there." in result.output


def test_it_goes_on_with_what_is_missing(finished: tuple[Path, Result]) -> None:
    out, _ = finished
    assert "2 of 7 cells are done already" in (out / "log" / "compare.txt").read_text("utf-8")
    records = {
        path.parts[-3]: json.loads(path.read_text("utf-8"))
        for path in (out / "cells").rglob("cell.json")
    }
    assert records.keys() == METHODS
    assert all(record["status"] == "done" for record in records.values())
    assert [records[name]["attempts"] for name in ("plain", "hf")] == [1, 1]


def test_the_screen_is_one_screen(finished: tuple[Path, Result]) -> None:
    out, result = finished
    lines = result.stdout.splitlines()
    assert len(lines) <= 40
    # The folder of a test is longer than a user's.
    assert max(len(line.replace(str(out), "l2-demo")) for line in lines) <= 100
    assert result.stderr == ""
    for noise in ("Traceback", "Warning", "WARNING", "INFO", "fatal:"):
        assert noise not in result.stdout


def test_shown_scores_are_those_of_lm_eval(finished: tuple[Path, Result]) -> None:
    out, result = finished
    for method in METHODS:
        (path,) = (out / "cells" / "demo" / "l2_demo" / method / "seed0").glob("results_*.json")
        scores = json.loads(path.read_text("utf-8"))["results"]["l2_demo"]
        lines = result.stdout.splitlines()
        (row,) = [line for line in lines if re.match(rf" *\d=? +{method} ", line)]
        assert f" {100 * scores['exact_match,number']:.1f} " in row


def test_recording_changes_no_response(finished: tuple[Path, Result]) -> None:
    cells = finished[0] / "cells" / "demo" / "l2_demo"
    plain, hf = samples_of(cells / "plain" / "seed0"), samples_of(cells / "hf" / "seed0")
    assert len(plain) == LIMIT
    assert {i: s["resps"] for i, s in plain.items()} == {i: s["resps"] for i, s in hf.items()}


def test_the_report_shows_every_section_and_the_responses(finished: tuple[Path, Result]) -> None:
    out, result = finished
    assert f"Open {out / 'report.html'}" in result.stdout
    page = (out / "report.html").read_text("utf-8")
    sections = find_sections(out)
    assert {"leaderboard", "norms", "confounds", "course"} <= {s.name for s in sections}
    for section in sections:
        assert section.title.partition(":")[0] in page
        assert section.command.startswith("l2-harness ")
    response = samples_of(out / "cells" / "demo" / "l2_demo" / "plain" / "seed0")[0]
    assert response["doc"]["question"].split(".")[0] in page


@pytest.mark.parametrize("name", ["compare", "analyze", "select", "report"])
def test_each_command_can_be_typed(finished: tuple[Path, Result], name: str) -> None:
    """What the log says was run is what the command's own parser takes."""
    line = (finished[0] / "log" / f"{name}.txt").read_text("utf-8").splitlines()[0]
    parse(line.removeprefix("$ "), name)


def test_the_next_command_can_be_typed(finished: tuple[Path, Result]) -> None:
    _, _, words = finished[1].stdout.partition("A model of your own:")
    parse(words.replace("\\\n", " "), "compare")


def parse(line: str, name: str) -> None:
    program, command, *rest = shlex.split(line)
    assert (program, command) == ("l2-harness", name)
    group: Any = typer.main.get_command(app)
    group.commands[name].make_context(name, rest)


@pytest.mark.process
def test_a_rerun_computes_no_response_again(finished: tuple[Path, Result]) -> None:
    out, first = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    again = subprocess.run(
        [sys.executable, "-m", "l2_harness.cli", "demo", "--limit", str(LIMIT), "--out", str(out)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == first.stdout
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert {p: t for p, t in after.items() if "traces" in p.parts} == {
        p: t for p, t in before.items() if "traces" in p.parts
    }


@pytest.mark.process
def test_an_output_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "l2_harness.cli", "demo", "--out", "taken"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--out taken" in done.stderr
    assert "Traceback" not in done.stderr
