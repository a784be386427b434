"""Each case of ``folders.py`` once."""

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
def test_folders_that_vanish_or_are_shared(tmp_path: Path) -> None:
    words = [str(HERE / "folders.py"), "--times", "1", "--out", str(tmp_path / "found.json")]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert all(one == {"tried": 1, "faults": []} for one in found.values())
