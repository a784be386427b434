"""The command as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from l2_harness.cli.app import app

SUITE = """
models:
  demo: {args: {pretrained: demo, dtype: float32}}
tasks: [l2_demo]
apply_chat_template: true
limit: 3
batch_size: 8
device: cpu
gen_kwargs: {max_gen_toks: 16}
methods:
  plain: {role: plain}
  alrr: {args: {recursion: norm}}
  broken: {gen_kwargs: {until: [5]}}
"""


def command(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "l2_harness.cli", "compare", *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def ran(
    run_command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """The suite's folder, and what its run said."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "mine.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, run_command("l2-harness", "compare", "mine.yaml")


def test_a_run_and_its_leaderboard(ran: tuple[Path, Any]) -> None:
    folder, done = ran
    assert done.returncode == 1, done.stderr
    assert "[3/3] demo/l2_demo/broken/seed0" in done.stdout
    assert "FAILED after" in done.stdout
    assert "failed demo/l2_demo/broken/seed0: until=[5] (task l2_demo" in done.stdout
    assert "1 of 3 cells failed; the same command tries them again." in done.stdout
    out = folder / "compare_mine"
    rows = json.loads((out / "leaderboard" / "leaderboard.json").read_text())["rows"]
    assert {row["method"] for row in rows} >= {"plain", "alrr"}
    assert str(folder) not in (out / "leaderboard" / "leaderboard.md").read_text()


@pytest.mark.process
def test_run_again_as_a_program(ran: tuple[Path, Any]) -> None:
    again = command("mine.yaml", "--only", "plain", cwd=ran[0])
    assert again.returncode == 1  # the failed cell is still part of the suite
    assert "[1/" not in again.stdout


def run(*words: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, ["compare", *words], env={"COLUMNS": "300"})
    return result.exit_code, result.output, result.exception


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    code, text, _ = run("demo", "--dry-run", "--out", str(tmp_path / "out"), "--seeds", "3,4")
    assert code == 0
    assert "best16_l2" in text
    assert "3, 4" in text
    assert not (tmp_path / "out").exists()


def test_the_list() -> None:
    code, text, _ = run("--list")
    assert code == 0
    for name in ("demo", "paper", "controls", "sensitivity"):
        assert name in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "pass SUITE, a file or one of --list, or --from"),
        (("demo", "paper"), "one suite a run, and these are 2"),
        (("dem",), "did you mean 'demo'?"),
        (("demo", "--limit", "-1"), "--limit=-1 is no number of documents"),
        (("demo", "--limit", "1.5"), "--limit=1.5 is no number of documents"),
        (("demo", "--seeds", "1,x"), "--seeds='1,x' is no list of different whole numbers"),
        (("demo", "--batch-size", "x"), "--batch-size='x' is not allowed"),
        (("demo", "--model-args", "{"), "is no JSON"),
        (("demo", "--dry-run", "--tasks", "l2_dmo"), "did you mean 'l2_demo'?"),
        (("demo", "--dry-run", "--model-args", "recursio=norm"), "did you mean 'recursion'?"),
        (("demo", "--dry-run", "--only", "x/y"), "--only 'x/y' means no cell."),
    ],
)
def test_mistakes(words: tuple[str, ...], message: str) -> None:
    code, _, error = run(*words)
    assert code != 0
    assert message in str(error)
