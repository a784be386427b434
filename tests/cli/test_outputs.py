"""Where a command is to write is looked at before it works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from l2_harness.cli.outputs import file_option, folder_option
from l2_harness.config.errors import ConfigError

app = typer.Typer()


@app.command()
def command(
    folder: Annotated[Path, folder_option("A folder.")],
    file: Annotated[Path, file_option("A file.")],
) -> None:
    raise RuntimeError("works")


@pytest.mark.parametrize(
    ("folder", "file", "told"),
    [
        ("new/deep", "new/f", "works"),
        (".", "there", "works"),
        ("there", "f", "--folder there needs a folder where there is a file"),
        ("there/a/b", "f", "--folder there/a/b needs a folder where there is a file"),
        ("loop/a", "f", "loop is a link to nothing"),
        ("link", "f", "--folder link needs a folder where link is a file"),
        ("new", ".", "is a folder, and a file is to be written: name one in it"),
        ("new", "there/f", "--file there/f needs a folder where there is a file"),
    ],
)
def test_outputs(
    folder: str, file: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").write_text("x")
    Path("loop").symlink_to("loop")
    Path("link").symlink_to("there")
    ran = CliRunner().invoke(app, ["--folder", folder, "--file", file])
    assert isinstance(ran.exception, RuntimeError if told == "works" else ConfigError)
    assert told in str(ran.exception)
    assert not Path("new").exists()
