from __future__ import annotations

import math

import pytest
import torch

from l2_harness.norms.statistics import distribution_statistics


def test_against_torch_distributions() -> None:
    logits = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)) * 4
    found = distribution_statistics(logits)
    reference = torch.distributions.Categorical(logits=logits.double())
    tokens = torch.arange(40) % 30
    torch.testing.assert_close(found.entropy.double(), reference.entropy(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        found.of_tokens(tokens).double(), reference.log_prob(tokens), rtol=1e-5, atol=1e-6
    )
    uniform = torch.distributions.Categorical(probs=torch.full((30,), 1 / 30).double())
    divergence = torch.distributions.kl_divergence(uniform, reference)
    torch.testing.assert_close(found.self_certainty.double(), divergence, rtol=1e-5, atol=1e-6)


def test_flat_and_peaked() -> None:
    flat, peaked = torch.zeros(1, 8), torch.tensor([[20.0] + [0.0] * 7])
    found = distribution_statistics(torch.cat([flat, peaked]))
    assert found.entropy[0] == pytest.approx(math.log(8))
    assert found.self_certainty[0] == pytest.approx(0.0, abs=1e-6)
    assert found.entropy[1] < 1e-6
    assert found.self_certainty[1] > 10


def test_masked_tokens_are_no_part_of_the_distribution() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    masked = torch.tensor([[1.0, -torch.inf, 2.0, -torch.inf, 3.0]])
    plain, found = distribution_statistics(logits), distribution_statistics(masked)
    torch.testing.assert_close(found.entropy, plain.entropy)
    torch.testing.assert_close(found.self_certainty, plain.self_certainty)


def test_half_precision_is_computed_in_float32() -> None:
    logits = torch.randn(5, 1000).half()
    found = distribution_statistics(logits)
    torch.testing.assert_close(found.entropy, distribution_statistics(logits.float()).entropy)
    assert found.entropy.dtype == torch.float32
