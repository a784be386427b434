"""``l2-harness tasks list`` and ``tasks check``, on a folder of invented rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from l2_harness.answers import Ending, Judgement, Verdict
from l2_harness.cli.app import app
from l2_harness.config.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"question": f"{number} + 1?", "answer": f"#### {number + 1}"} for number in range(4)]
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["tasks", *arguments])


def test_list_shows_tasks_and_groups() -> None:
    done = run("list")
    assert done.exit_code == 0
    for expected in ("l2_gsm8k", "openai/gsm8k:main", "740312a", "1319", "acc", "l2_demo"):
        assert expected in done.output
    for group in ("l2_math", "l2_reasoning", "l2_all", "l2_paper", "l2_bbh_logic"):
        assert group in done.output


def test_check_passes_and_shows_prompts(folder: Path) -> None:
    done = run("check", "l2_gsm8k", "l2_gsm8k_direct", "--data", str(folder), "--show")
    assert done.exit_code == 0, done.output
    assert done.output.count("passed") == 2
    assert done.output.count("--- l2_gsm8k, prompt") == 3
    assert "2 + 1?\n\nReason step by step." in done.output
    assert "Answer directly, without reasoning." in done.output


def test_check_says_what_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def always_right(response: str, *_: object) -> Judgement:
        return Judgement("?", Verdict.EQUAL, Ending.WHOLE, len(response), 1)

    monkeypatch.setattr("l2_harness.benchmarks.check.judge", always_right)
    done = run("check", "l2_gsm8k", "--data", str(folder), "--limit", "1")
    assert done.exit_code == 1
    assert "FAILED" in done.output
    assert "l2_gsm8k: document 0, thinking cut off: equal; gold '1'" in done.output


def test_named_task_without_data_is_a_failure(folder: Path) -> None:
    done = run("check", "l2_svamp", "--data", str(folder))
    assert done.exit_code == 1
    assert "not loaded" in done.output
    assert "svamp/test.jsonl does not exist" in done.output


def test_without_names_what_has_data_is_checked(folder: Path) -> None:
    done = run("check", "--data", str(folder))
    assert done.exit_code == 0
    assert done.output.count("passed") == 3
    assert "138 tasks not loaded: l2_aime24," in done.output


def test_a_group_stands_for_its_tasks(folder: Path) -> None:
    done = run("check", "l2_math", "--data", str(folder), "--limit", "1")
    assert done.exit_code == 1  # seven of the eight have no rows there
    assert done.output.count("passed") == 1
    assert done.output.count("does not exist") == 7


def test_unknown_names_and_folders() -> None:
    unknown = run("check", "l2_gsm8")
    assert isinstance(unknown.exception, ConfigError)
    assert "did you mean 'l2_gsm8k'" in str(unknown.exception)
    missing = run("check", "--data", "nowhere")
    assert isinstance(missing.exception, ConfigError)
    assert "nowhere" in str(missing.exception)
