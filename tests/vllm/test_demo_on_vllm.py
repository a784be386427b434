"""``l2-harness demo --engine vllm``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)


@pytest.mark.process
@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    """With nothing compiled, which takes a minute more."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VLLM_")}
    done = subprocess.run(
        [sys.executable, "-m", "l2_harness.cli", "demo", "--engine", "vllm", "--limit", "4"],
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "l2-demo/report.html" in done.stdout
    cells = tmp_path / "l2-demo/cells/demo/l2_demo"
    classes = {
        path.parts[-3]: json.loads(path.read_text("utf-8"))["definition"]["model_class"]
        for path in cells.rglob("cell.json")
    }
    assert classes.pop("vllm") == "vllm"
    assert len(classes) == 6
    assert set(classes.values()) == {"l2vllm"}
    plain, stock = (
        next((cells / name / "seed0").glob("samples_*.jsonl")) for name in ("plain", "vllm")
    )
    assert _responses(plain) == _responses(stock)


def _responses(path: Path) -> dict[int, str]:
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {line["doc_id"]: line["resps"][0][0] for line in lines}
