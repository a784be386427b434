"""``l2-harness bench vllm`` on a few requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)


@pytest.mark.slow
def test_the_command(run_command: Callable[..., Any], pool: Any) -> None:
    pool.clear()  # an engine that ends takes what others in its process share
    done = run_command(
        *["l2-harness", "bench", "vllm", "--json", "--eager", "--max-new-tokens", 96],
        *["--rounds", 2, "--limit", 3, "--batch-size", 3],
        *["--arm", "record", "--arm", "recursion"],
    )
    assert done.returncode == 0, done.stderr
    assert "qwen3-8b: waiting for a GPU" in done.stderr
    rows = {(r["way"], r["rival"]): r for cost in json.loads(done.stdout) for r in cost["rows"]}
    late, recursion = rows["record late layers", "vllm"], rows["recursion=norm", "vllm"]
    assert ("record late layers", "l2hf, record late layers") in rows
    assert {row["equal"] for row in rows.values()} == {3}
    assert (late["goal"], late["again"]) == (1.02, 0)
    assert 0 < recursion["again"] < 2 / 12
    assert recursion["goal"] == pytest.approx(1.05 + 1.15 * recursion["again"])
