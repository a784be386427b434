"""Drawn tokens against the distribution that transformers' own warpers leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from l2_harness.engines.hf.token_choice import drawn, likeliest
from l2_harness.random_numbers import uniform_draws

DRAWS = 40_000
LOGITS = torch.randn(1, 40, generator=torch.Generator().manual_seed(3)) * 2
NO_IDS: Any = torch.zeros(1, 1, dtype=torch.int64)
WARPERS: dict[str, list[Any]] = {
    "none": [],
    "temperature": [TemperatureLogitsWarper(0.7)],
    "top_k": [TopKLogitsWarper(7)],
    "top_p": [TopPLogitsWarper(0.8)],
    "min_p": [MinPLogitsWarper(0.05)],
    "all": [
        TemperatureLogitsWarper(1.5),
        TopKLogitsWarper(20),
        TopPLogitsWarper(0.9),
        MinPLogitsWarper(0.02),
    ],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", WARPERS)
def test_chi_square(name: str, dtype: torch.dtype) -> None:
    scores = LogitsProcessorList(WARPERS[name])(NO_IDS, LOGITS.to(dtype))
    # step 3 of many responses: the numbers that tokens are drawn with in a run
    uniforms = np.array([uniform_draws(0, f"p{i}", i % 5, 4)[3] for i in range(DRAWS)])
    tokens = drawn(scores.expand(DRAWS, -1), torch.from_numpy(uniforms))
    counts = torch.bincount(tokens, minlength=40).numpy()
    expected = scores.double().softmax(-1)[0].numpy() * DRAWS
    possible = expected > 0
    assert counts[~possible].sum() == 0
    # cells with fewer than 5 expected draws are pooled, as the test needs
    rare = possible & (expected < 5)
    cells = [*counts[possible & ~rare], counts[rare].sum()]
    means = [*expected[possible & ~rare], expected[rare].sum()]
    if not rare.any():
        cells, means = cells[:-1], means[:-1]
    means = np.array(means) * sum(cells) / sum(means)
    assert stats.chisquare(cells, means).pvalue > 1e-3


def test_against_a_walk_over_the_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(200, 9, generator=generator, dtype=torch.float64)
    scores[torch.rand(200, 9, generator=generator) < 0.3] = -torch.inf
    scores[:, 4] = 0.0  # at least one is possible
    uniforms = torch.rand(200, generator=generator, dtype=torch.float64)
    for row, token in enumerate(drawn(scores, uniforms).tolist()):
        probs = scores[row].softmax(-1).tolist()
        number, passed = uniforms[row].item(), 0.0
        assert token == next(i for i, p in enumerate(probs) if number < (passed := passed + p))


@pytest.mark.parametrize("u", [2.0**-49, 0.5, (2.0**48 - 0.5) * 2.0**-48])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_numbers_meet_possible_tokens(u: float, dtype: torch.dtype) -> None:
    scores = torch.full((1, 1000), -torch.inf, dtype=dtype)
    scores[0, 100:900:7] = 0.1
    (token,) = drawn(scores, torch.tensor([u], dtype=torch.float64)).tolist()
    assert scores[0, token] > -torch.inf


def test_greedy_takes_the_first_of_equals() -> None:
    assert likeliest(torch.tensor([[0.0, 2.0, 2.0], [3.0, 1.0, 3.0]])).tolist() == [1, 0]
