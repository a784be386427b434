"""The contract of the layers holds, and an import that breaks it is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """The linter on the copy of the package in ``folder``."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--config", "pyproject.toml"]
    environment = {"PYTHONPATH": str(folder), "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's Python files and its contract."""
    folder = tmp_path_factory.mktemp("layers")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(
        ROOT / "l2_harness",
        folder / "l2_harness",
        ignore=lambda _, names: [n for n in names if "." in n and not n.endswith(".py")],
    )
    return folder


def test_arrows_point_one_way(copy: Path) -> None:
    found = lint(copy)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("statistics/estimate.py", "import l2_harness.compare.suite", "Arrows"),
        ("config/errors.py", "from l2_harness import norms", "Arrows"),
        ("analysis/norms/study.py", "import l2_harness.engines.hf.decode_loop", "capture"),
        ("interventions/pipeline.py", "import transformers", "no engine"),
        ("statistics/estimate.py", "import pandas", "numbers"),
    ],
)
def test_a_planted_import_is_found(copy: Path, module: str, planted: str, contract: str) -> None:
    path = copy / "l2_harness" / module
    own = path.read_text("utf-8")
    path.write_text(f"{own}\n{planted}\n", "utf-8")
    try:
        found = lint(copy)
    finally:
        path.write_text(own, "utf-8")
    assert found.returncode == 1
    [broken] = [line for line in found.stdout.splitlines() if line.endswith("BROKEN")]
    assert contract in broken
