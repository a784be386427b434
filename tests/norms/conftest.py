"""A trace record in one call, and no waiting for the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from l2_harness.norms import TraceRecord, hash_prompt, hash_request


def _make_record(doc_id: int = 0, rows: int = 5, **changes: Any) -> TraceRecord:
    layers = changes.pop("layers", (20, 21, 22))
    rng = np.random.default_rng([abs(int(doc_id)), rows])
    prompt = changes.pop("prompt", f"question {doc_id}")
    defaults: dict[str, Any] = {
        "run_id": "run1",
        "task": "gsm8k",
        "doc_id": doc_id,
        "request_type": "generate_until",
        "prompt_hash": hash_prompt(prompt),
        "request_hash": hash_request("generate_until", prompt, {"until": ["\n"]}),
        "prompt_tokens": 7,
        "tokens": rng.integers(0, 1000, rows),
        "text": f"answer {doc_id}",
        "finish_reason": "eos",
        "layers": layers,
        "norms": rng.uniform(50, 200, (rows, len(layers))).astype(np.float32),
        "logprob": -rng.exponential(size=rows),
        "entropy": rng.exponential(size=rows),
        "self_certainty": rng.exponential(size=rows),
    }
    return TraceRecord(**{**defaults, **changes})


@pytest.fixture(scope="session", autouse=True)
def _no_fsync() -> Iterator[None]:
    """Only a loss of power tells a synced file from another, and a busy disk takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TraceRecord]:
    """``make_record(doc_id, rows, **columns)``: a valid record with these columns."""
    return _make_record
