"""The commands of the study, as the command line takes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from l2_harness.cli.app import app
from l2_harness.demo.analysis import Plan, commands
from l2_harness.findings.section import find_sections


@pytest.mark.parametrize("limit", [None, 5])
def test_every_command_is_one_that_the_command_line_takes(limit: int | None) -> None:
    """Each is parsed by the real command's own parser, and none is run."""
    group = typer.main.get_command(app)
    parsed = 0
    for words in commands(Plan(Path("out"), Path("work"), limit)):
        if words[0] != "l2-harness":
            continue
        command: Any = group
        rest = words[1:]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[1], list(rest))
        parsed += 1
    assert parsed == 10


def test_a_small_study(tmp_path: Path) -> None:
    """All of it, on a few problems."""
    code = (
        "from pathlib import Path\n"
        "from l2_harness.demo import analysis\n"
        f"out = Path({str(tmp_path)!r})\n"
        "plan = analysis.Plan(out / 'report', out / 'work', limit=12, steps=20)\n"
        "for words in analysis.commands(plan):\n"
        "    if words[1] not in ('causal', 'sae'):\n"
        "        analysis.run(words)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    names = [section.name for section in find_sections(tmp_path / "report")]
    assert {"norms", "confounds", "profiles", "course", "token_kinds"} <= set(names)
    assert (tmp_path / "report" / "report.html").exists()
