"""Tables of random samples, in one call."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from l2_harness.analysis.selectors.samples import SampleTable
from l2_harness.config.selectors import SELECTORS
from l2_harness.selection.choice import Candidates


def _make(seed: int = 0, questions: int = 12, n: int = 6, answers: int = 3) -> SampleTable:
    rng = np.random.default_rng(seed)
    names = {one.score for one in SELECTORS.values()} - {""}
    # few values, so that there are ties
    scores = {name: rng.integers(0, 5, (questions, n)).astype(float) for name in sorted(names)}
    labels = rng.integers(-1, answers, (questions, n))
    correct = (labels == 0).astype(float)
    candidates = Candidates(scores, rng.random((questions, n)) < 0.3, labels)
    return SampleTable(list(range(questions)), candidates, correct, scores["length"])


@pytest.fixture(scope="session")
def make_table() -> Callable[..., SampleTable]:
    """``make_table(seed, questions, n, answers)``: with every score, ties and truncation."""
    return _make
