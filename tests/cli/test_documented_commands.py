"""Every command that the documents show is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from l2_harness.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "results/README.md",
    "results/interventions/README.md",
    "results/real_models/README.md",
    "tasks/README.md",
)
#: Before a command: variables and ``pip install . &&``.
COMMAND = re.compile(r"^(?:    )?(?:[A-Z_]+=\S+ |.*&& )*(l2-harness .+)$", re.MULTILINE)


def documented() -> list[tuple[str, str]]:
    """Document and command; what isn't there, as in an unpacked archive, has none."""
    found = []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text("utf-8") if path.is_file() else ""
        blocks = [line for line in text.replace("\\\n", " ").splitlines() if _is_code(line)]
        found += [(name, command) for command in COMMAND.findall("\n".join(blocks))]
    return found


def _is_code(line: str) -> bool:
    return line.startswith("    ") or line.startswith("l2-harness ")


@pytest.mark.parametrize(("document", "line"), documented())
def test_a_documented_command_is_taken(document: str, line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    name = "l2-harness"
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"{document}: {line}"
        command = command.commands[name]
    command.make_context(name, words)


def test_the_documents_show_commands() -> None:
    """The reading of documents above finds them."""
    names = {shlex.split(line, comments=True)[1] for document, line in documented()}
    assert {"demo", "analyze", "report", "compare", "select", "sae", "tasks"} <= names
