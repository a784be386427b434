"""Made-up outcomes: scores of questions that differ in difficulty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from l2_harness.lm_eval_files.outcomes import Outcome

Outcomes = Callable[..., list[Outcome]]


def outcome(method: str, scores: Mapping[str, float] | np.ndarray, **changes: Any) -> Outcome:
    if not isinstance(scores, Mapping):
        scores = {f"q{i}": float(score) for i, score in enumerate(scores)}
    settings: dict[str, Any] = {"model": "m", "task": "t", "metric": "acc,none", "seed": 0}
    return Outcome(**{**settings, "method": method, "scores": scores, **changes})


@pytest.fixture(scope="session")
def made() -> Outcomes:
    """``made(rng, gains, questions, seeds)``: plain and methods that answer better by ``gains``."""

    def make(
        rng: np.random.Generator,
        gains: Mapping[str, float],
        questions: int = 80,
        seeds: int = 1,
        task: str = "t",
    ) -> list[Outcome]:
        easy = rng.beta(1.5, 1.5, questions)
        return [
            outcome(
                method,
                (rng.random(questions) < np.clip(easy + gain, 0, 1)).astype(float),
                seed=seed,
                task=task,
                role="plain" if method == "plain" else "null" if method == "null" else "method",
            )
            for method, gain in {"plain": 0.0, **gains}.items()
            for seed in range(seeds)
        ]

    return make
