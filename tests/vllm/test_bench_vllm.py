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
    found = {figure["name"].split(" (")[0]: figure for figure in json.loads(done.stdout)["figures"]}
    late, recursion = found["record late layers"], found["recursion=norm"]
    assert "record late layers / l2hf, record late layers" in found
    assert all("3 of 3 responses equal" in figure["note"] for figure in found.values())
    assert late["goal"] == 1.02
    assert "layer passes again 0.0%" in late["note"]
    assert 1.05 < recursion["goal"] < 1.05 + 1.15 * 2 / 12
