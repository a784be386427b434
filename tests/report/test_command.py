"""``l2-harness report`` as a user calls it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from l2_harness.cli import main
from l2_harness.demo.tokenizer import build_tokenizer
from l2_harness.norms import TraceRecord, TraceWriter, hash_prompt, hash_request


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["l2-harness", "report", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    tokens = build_tokenizer()("4 + 4 = 8.")["input_ids"]
    folder = tmp_path / "traces"
    for run in ("run1", "run2"):
        record = TraceRecord(
            run_id=run,
            task="l2_demo",
            doc_id=0,
            request_type="generate_until",
            prompt_hash=hash_prompt("q"),
            request_hash=hash_request("generate_until", "q", {}),
            prompt_tokens=1,
            tokens=tokens,
            text="4 + 4 = 8.",
            finish_reason="eos",
            layers=[1],
            norms=np.ones((len(tokens), 1)),
        )
        writer = TraceWriter(folder, run)
        writer.describe_run({"tokenizer": "demo"})
        writer.write([record])
    return folder


def test_with_and_without_responses(
    written: Path,
    traces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "page.html"
    assert call(monkeypatch, str(written), "--out", str(out), "--title", "Mine") == 0
    assert capsys.readouterr().out.startswith(f"{out}: 2 sections, ")
    assert "<title>Mine</title>" in out.read_text("utf-8")
    arguments = ["--traces", str(traces), "--run-id", "run2", "--out", str(out)]
    assert call(monkeypatch, str(written), *arguments) == 0
    assert "2 sections, 1 response," in capsys.readouterr().out
    assert "view-responses" in out.read_text("utf-8")


def test_what_a_user_can_mend(
    written: Path,
    traces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, str(tmp_path / "nothing")) == 2
    assert "holds no section: run `l2-harness analyze`" in capsys.readouterr().err
    assert call(monkeypatch, str(written), "--samples", "x") == 2
    assert "pass --traces TRACE_DIR" in capsys.readouterr().err
    assert call(monkeypatch, str(written), "--traces", str(tmp_path / "none")) == 2
    assert "no traces" in capsys.readouterr().err
    assert call(monkeypatch, str(written), "--traces", str(traces)) == 2
    told = capsys.readouterr().err
    assert "l2-harness: warning: " in told
    assert "2 runs: run1, run2. Pass --run-id with one of them." in told
    assert call(monkeypatch, str(written), "--traces", str(traces), "--run-id", "run3") == 2
    assert "Its runs: run1, run2" in capsys.readouterr().err
