"""Where the benchmark rows are: beside the repository, never in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA_VARIABLE = "L2_HARNESS_TEST_DATA"
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of benchmark rows; a test that needs it is skipped where there is none."""
    folder = Path(os.environ.get(DATA_VARIABLE, BESIDE))
    if not (folder / "gsm8k").is_dir():
        pytest.skip(f"no benchmark rows in {folder}; {DATA_VARIABLE} may name another folder")
    return folder
