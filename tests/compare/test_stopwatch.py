"""Seconds that outlive a process."""

from __future__ import annotations

import time
from pathlib import Path

from l2_harness.compare.stopwatch import Stopwatch


def test_attempts_add_up(tmp_path: Path) -> None:
    path = tmp_path / "seconds.txt"
    first = Stopwatch(path)

    def slowly(x: int) -> int:
        time.sleep(0.05)
        return x

    assert first.timed(slowly)(7) == 7
    assert first.seconds >= 0.05
    # only what was counted, and also what a process that is gone had counted
    time.sleep(0.05)
    second = Stopwatch(path)
    assert abs(second.seconds - first.seconds) < 1e-3
    with second.running():
        time.sleep(0.05)
    assert second.seconds >= first.seconds + 0.05 - 1e-3  # the file has milliseconds
    assert float(path.read_text()) == round(second.seconds, 3)


def test_a_file_that_is_none_counts_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "seconds.txt").write_text("many")
    assert Stopwatch(tmp_path / "seconds.txt").seconds == 0
