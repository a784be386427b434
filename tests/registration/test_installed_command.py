"""The ``l2-harness`` command where it was installed, away from the source tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

SOURCE = Path(__file__).resolve().parents[2]


def test_tasks_are_found_from_anywhere(environment: Any) -> None:
    folder = environment.run("l2-harness", "tasks", "path").stdout.strip()
    assert {file.name for file in SOURCE.joinpath("tasks").iterdir()} <= {
        file.name for file in Path(folder).iterdir()
    }


def test_cost_can_be_measured_in_both_ways_to_install(environment: Any) -> None:
    done = environment.run(
        "l2-harness", "bench", "startup", "--rounds", "2", "--command-rounds", "1"
    )
    assert done.returncode == 0, done.stderr
    assert "import hook, ms" in done.stdout
