"""Where ``l2-harness tasks path`` looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from l2_harness import paths


def test_packaged_tasks_come_before_the_checkouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "l2_harness")
    (tmp_path / "tasks").mkdir()
    assert paths.tasks_dir() == tmp_path / "tasks"
    (tmp_path / "l2_harness" / "_tasks").mkdir(parents=True)
    assert paths.tasks_dir() == tmp_path / "l2_harness" / "_tasks"


def test_installation_without_tasks_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "l2_harness")
    with pytest.raises(FileNotFoundError, match="holds no task files"):
        paths.tasks_dir()
