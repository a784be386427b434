"""The ``l2-harness`` command as a program of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import l2_harness
from l2_harness.cli import main
from l2_harness.config.errors import ConfigError

HEAVY = {"torch", "transformers", "lm_eval", "sae_lens", "matplotlib", "pandas", "scipy", "vllm"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "l2_harness.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"l2-harness {l2_harness.__version__}\n")


@pytest.mark.process
def test_an_end_looks_for_no_cycles() -> None:
    # what is registered first is called last
    script = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count() > 1000)); "
        "from l2_harness.cli import main; sys.argv = ['l2-harness', '--version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "True"


def test_help_lists_the_subcommands(run_command: Callable[..., Any]) -> None:
    done = run_command("l2-harness", "--help")
    assert done.returncode == 0
    assert "tasks" in done.stdout
    assert "bench" in done.stdout


@pytest.mark.process
def test_command_line_is_ready_without_heavy_imports() -> None:
    code = "import sys, l2_harness.cli.app; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not HEAVY & set(loaded)


def test_tasks_path_prints_a_folder(run_command: Callable[..., Any]) -> None:
    done = run_command("l2-harness", "tasks", "path")
    assert done.returncode == 0
    assert Path(done.stdout.rstrip("\n")).is_dir()


def test_bench_startup(run_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from l2_harness.bench import startup

    quick = {name: [sys.executable, "-c", "pass"] for name in startup.commands()}
    monkeypatch.setattr(startup, "commands", lambda: quick)
    arguments = ["l2-harness", "bench", "startup", "--rounds", 2, "--command-rounds", 1]
    done = run_command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    hook = found["costs"][0]["hook"]
    assert (hook["unit"], hook["rounds"]) == ("ms", 2)
    assert {row["environment"] for row in hook["rows"]} == set(hook["times"])
    assert [figure["goal"] for figure in found["figures"]] == [5.0, 0.3, 1.0]
    assert 0 < found["figures"][1]["value"] < 10


def test_unknown_subcommand_is_a_usage_error(run_command: Callable[..., Any]) -> None:
    done = run_command("l2-harness", "taks")
    assert done.returncode == 2
    assert "taks" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("error", [ConfigError("layers=9 is out of range."), OSError("disk full")])
def test_error_of_a_user_is_one_line_and_status_2(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("l2_harness.cli.app.app", fail)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"l2-harness: error: {error}\n"


def test_ctrl_c_is_one_line_that_says_how_to_go_on(
    run_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("l2_harness.findings.section.find_sections", stopped)
    done = run_command("l2-harness", "report", tmp_path)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == (
        "l2-harness: interrupted; the same command goes on from what it had finished\n"
    )


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (SystemExit(130), 130, "interrupted; the same command goes on"),
        (SystemExit(3), 3, ""),
        (MemoryError("8 GiB"), 2, "error: the memory is not enough for this: 8 GiB"),
    ],
    ids=str,
)
def test_how_it_ends(
    error: BaseException,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end() -> None:
        raise error

    monkeypatch.setattr("l2_harness.cli.app.app", end)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == status
    assert told in capsys.readouterr().err
