"""Made-up traces, in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.norms.signals import SIGNALS


def made_up_record(rng: np.random.Generator, rows: int, layers: int = 3, **fields: Any) -> Any:
    """A trace record of random rows."""
    from l2_harness.norms import TraceRecord, hash_prompt

    given: dict[str, Any] = {
        "run_id": "run",
        "task": "t",
        "doc_id": 0,
        "request_type": "generate_until",
        "prompt_tokens": 7,
        "tokens": rng.integers(0, 160, rows),
        "text": "",
        "response": "",
        "finish_reason": "eos",
        "layers": range(layers),
        "norms": rng.gamma(4, 20, (rows, layers)).astype(np.float32),
        "logprob": -rng.exponential(size=rows).astype(np.float32),
        "entropy": rng.exponential(size=rows).astype(np.float32),
        "self_certainty": rng.exponential(size=rows).astype(np.float32),
        **fields,
    }
    digest = hash_prompt(f"{given['task']} {given['doc_id']}")
    signals = {name: given.pop(name) for name in SIGNALS.names if name in given}
    return TraceRecord(prompt_hash=digest, request_hash=digest, signals=signals, **given)


@pytest.fixture(scope="session")
def record() -> Callable[..., Any]:
    """``record(rng, rows, layers, **fields)``: a made-up trace record."""
    return made_up_record


@pytest.fixture
def trace_dir(tmp_path: Path) -> Path:
    """9 questions × 4 samples of 2 to 40 rows; a group's samples lie in two parts."""
    from l2_harness.norms import TraceWriter

    rng = np.random.default_rng(0)
    writer = TraceWriter(tmp_path / "traces", "run")
    writer.describe_run({"tokenizer": "demo"})
    for samples in ((0, 2), (1, 3)):
        writer.write(
            [
                made_up_record(
                    *(rng, int(rng.integers(2, 41))),
                    doc_id=question,
                    sample=sample,
                    prompt_tokens=7 + question,
                    finish_reason="length" if rng.random() < 0.2 else "eos",
                    thinking_end=1 if sample else None,
                )
                for question in range(9)
                for sample in samples
            ]
        )
    return tmp_path / "traces"
