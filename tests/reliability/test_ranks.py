"""Two of the cases of ``ranks.py``: processes of unequal work, and one that is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
import ranks


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("name", ["samples, 3", "rank 1 of 2 killed, then 2"])
def test_ranks(name: str, tmp_path: Path) -> None:
    expected = ranks.wholes([ranks.CASES[name][0]], tmp_path)
    assert ranks.check(name, expected, tmp_path)["faults"] == []
