"""Tables of answers with a known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.compare.causal.arms import Arm


def rows(
    arm: Arm, scores: Sequence[float] | np.ndarray, task: str = "t", **columns: Any
) -> pd.DataFrame:
    """One arm's part of a table; a column is a number for all questions or one for each."""
    n = len(scores)
    return pd.DataFrame(
        {
            "task": task,
            "arm": arm.name,
            "where": arm.where,
            "mode": arm.mode if arm.where else None,
            "factor": arm.factor,
            "question": [f"q{i}" for i in range(n)],
            "score": np.asarray(scores, dtype=float),
            **columns,
        }
    )


def flipped(scores: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Scores of which each right one becomes wrong with a probability."""
    return np.where(rng.random(len(scores)) < share, 0.0, scores)


def planted(harm: Mapping[str, float], n: int = 300, seed: int = 0) -> pd.DataFrame:
    """The arms scaled to 0.1, each of which loses a share of plain's right answers."""
    rng = np.random.default_rng(seed)
    plain = (rng.random(n) < 0.7).astype(float)
    parts = [rows(Arm("plain"), plain, edits=0, left=0, tokens=100, changed=0, truncated=0)]
    for where, share in harm.items():
        scores = flipped(plain, share, rng)
        edits = rng.integers(1, 4, n)
        arm = Arm.editing(where, "scale", 0.1)  # type: ignore[arg-type]
        more: dict[str, Any] = {
            "edits": edits,
            "left": 0,
            "change": 0.9 * edits,
            "places": 50 * edits,
            "tokens": 110,
            "changed": 1,
            "truncated": 0,
        }
        parts.append(rows(arm, scores, **more))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def make_rows() -> Any:
    return rows


@pytest.fixture
def make_planted() -> Any:
    return planted
