"""What the wheel and the source archive hold."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SOURCE = Path(__file__).resolve().parents[2]


def build(target: str, folder: Path) -> Path:
    """Build one archive with the project's own backend, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "-d", str(folder)]
    subprocess.run(command, check=True, cwd=SOURCE, capture_output=True)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def sdist_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files_below(folder: str) -> set[str]:
    """Names of the tree's files below a folder, relative to it, caches left out."""
    top = SOURCE / folder
    found = (file.relative_to(top) for file in top.rglob("*") if file.is_file())
    return {file.as_posix() for file in found if "__pycache__" not in file.parts}


def test_wheel_holds_the_package_and_its_tasks(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    package = {f"l2_harness/{name}" for name in files_below("l2_harness")}
    assert package - names == {"l2_harness/registration/l2_harness_bridge.pth"}
    assert "l2_harness_bridge.pth" in names
    assert {f"l2_harness/_tasks/{name}" for name in files_below("tasks")} <= names
    assert "l2_harness/py.typed" in names


def test_wheel_holds_the_tasks_and_the_model(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert any(name.startswith("l2_harness/_tasks/") and name.endswith(".yaml") for name in names)
    assert {
        "l2_harness/demo/model/config.json",
        "l2_harness/demo/model/model.safetensors",
        "l2_harness/demo/model/tokenizer.json",
    } <= set(names)


def test_wheel_adds_only_the_package_and_the_bridge_to_site_packages(
    wheel: zipfile.ZipFile,
) -> None:
    top = {name.partition("/")[0] for name in wheel.namelist()}
    metadata = {name for name in top if name.endswith(".dist-info")}
    assert top - metadata == {"l2_harness", "l2_harness_bridge.pth"}


def test_wheel_declares_the_command_and_the_model(wheel: zipfile.ZipFile) -> None:
    (declared,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    entry_points = ConfigParser()
    entry_points.read_string(wheel.read(declared).decode())
    assert entry_points["console_scripts"]["l2-harness"] == "l2_harness.cli:main"
    assert entry_points["lm_eval.models"]["l2hf"] == "l2_harness.models.hf.l2hf:L2HF"


def test_sdist_holds_what_the_wheel_and_the_tests_are_made_of(sdist_names: set[str]) -> None:
    for folder in ("l2_harness", "tasks", "tests"):
        assert {f"{folder}/{name}" for name in files_below(folder)} <= sdist_names
    assert {"pyproject.toml", "LICENSE", "README.md"} <= sdist_names
