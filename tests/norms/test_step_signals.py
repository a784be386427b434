"""Signals that are measured together are those of each step."""

from __future__ import annotations

import pytest
import torch

from l2_harness.norms import step_signals
from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.step_signals import StepSignals


@pytest.mark.parametrize("waiting", [1, 50, 10_000])
def test_each_step_gets_its_own(waiting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against log-probabilities and entropies of torch's, whatever waits together."""
    monkeypatch.setattr(step_signals, "_WAITING", waiting)
    generator = torch.Generator().manual_seed(0)
    steps = [torch.randn(rows, 13, generator=generator) for rows in (3, 1, 4, 2)]
    tokens = [torch.randint(13, (len(rows),), generator=generator) for rows in steps]
    waits = StepSignals()
    found: list[list[torch.Tensor]] = [[] for _ in steps]
    for logits, own, taking in zip(steps, tokens, found, strict=True):
        waits.add(logits, own, taking)
    waits.measure()
    waits.measure()  # nothing waits
    for logits, own, (signals,) in zip(steps, tokens, found, strict=True):
        by_name = dict(zip(SIGNALS.names, signals, strict=True))
        log_probs = torch.log_softmax(logits.double(), dim=-1)
        expected = log_probs.gather(1, own[:, None])[:, 0]
        torch.testing.assert_close(by_name["logprob"].double(), expected, atol=1e-6, rtol=1e-5)
        entropy = torch.distributions.Categorical(logits=logits.double()).entropy()
        torch.testing.assert_close(by_name["entropy"].double(), entropy, atol=1e-6, rtol=1e-5)
