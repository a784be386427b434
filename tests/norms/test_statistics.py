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


def test_confidence_is_the_mean_surprisal_of_the_likeliest_tokens() -> None:
    logits = torch.randn(7, 60, generator=torch.Generator().manual_seed(0)).double()
    found = distribution_statistics(logits).confidence(k=5)
    for row, value in zip(logits, found, strict=True):
        log_probs = sorted(row.log_softmax(-1).tolist(), reverse=True)
        assert float(value) == pytest.approx(-sum(log_probs[:5]) / 5, rel=1e-5)


def test_confidence_where_few_tokens_are_possible() -> None:
    """Masked tokens count for nothing, and a vocabulary may be smaller than k."""
    logits = torch.tensor([[0.0, 0.0, -torch.inf, -torch.inf], [1.0, 1.0, 1.0, 1.0]])
    found = distribution_statistics(logits).confidence()
    assert found.tolist() == pytest.approx([math.log(2), math.log(4)])
