from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def test_the_command(run_command: Callable[..., Any]) -> None:
    done = run_command(
        *["l2-harness", "bench", "analyze", "--json", "--questions", 6, "--samples", 2],
        *["--rows", 9, "--layers", 2, "--resamples", 20],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    (cost,) = found["costs"]
    # rows are 2 to 15 a response
    assert 12 * 2 * 2 <= cost["points"] <= 12 * 2 * 15
    assert cost["total"] == sum(cost["seconds"].values()) > 0
    assert cost["peak_bytes"] > 10**7
    assert cost["associations"] > 2 * 2 * 8 * 10
    assert [figure["name"] for figure in found["figures"]] == ["in all, s", "peak, GiB"]
    assert found["figures"][0]["value"] == cost["total"]
