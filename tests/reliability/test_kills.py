"""A few of the kills of ``kills.py``, which has hundreds and all commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_and_run_again(tmp_path: Path) -> None:
    words = ["--times", "4", "--command", "lm_eval samples", "--out", str(tmp_path / "found.json")]
    done = subprocess.run(
        [sys.executable, str(HERE / "kills.py"), *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["kills"] >= 4
    assert found["faults"] == []
